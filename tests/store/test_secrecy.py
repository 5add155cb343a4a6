"""The content of a store reveals nothing to its readers."""

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from support.http import Client, ask
from support.lab import Provider, Upstream, bearer
from support.process import until
from support.redis import Redis
from support.store import PATIENT, Start, counted, directives, gateway, status


def encodings(text: str) -> dict[str, bytes]:
    """Every way in which a text may stand in a file. Base64 has three, by where it begins."""
    data = text.encode()
    found = {
        "raw": data,
        "hex": data.hex().encode(),
        "HEX": data.hex().upper().encode(),
        "url": quote(text, safe="").encode(),
        "every byte": "".join(f"%{byte:02X}" for byte in data).encode(),
        "utf-16": text.encode("utf-16-le"),
        "backwards": data[::-1],
    }
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + data)
        # Without what the neighbours have a part in.
        found[f"base64 at {shift}"] = whole[4 if shift else 0 : len(whole) // 4 * 4 - 4]
        found[f"base64url at {shift}"] = base64.urlsafe_b64encode(b"\0" * shift + data)[4 if shift else 0 : -4]
    return found


def traces(canaries: dict[str, str], dump: bytes) -> list[str]:
    return [
        f"{name}, {encoding}"
        for name, text in canaries.items()
        for encoding, written in encodings(text).items()
        if written in dump
    ]


def canaries(client: Client, upstream: Upstream) -> dict[str, str]:
    token = bearer(upstream.last)
    head, body, signature = token.split(".")
    return {"token": token, "claims": body, "signature": signature, "secret": client.secret, "id": client.id}


# Long enough not to be there by chance.
CANARY = Client("Wellensittich-8Jq4", "Kakadu+5Xw/7%Nymphensittich")


def test_the_search_finds_every_planted_canary() -> None:
    texts = {"secret": CANARY.secret, "id": CANARY.id}
    for name, text in texts.items():
        for encoding, written in encodings(text).items():
            assert f"{name}, {encoding}" in traces(texts, b"\x07\xff" + written + b"\x00\xfe")
    for shift in range(3):
        dump = base64.b64encode(b"x" * shift + CANARY.secret.encode() + b"yz")
        assert traces(texts, dump), shift


@pytest.fixture(scope="module")
def certified(logs: Path) -> Iterator[Provider]:
    """A certified provider that knows the canary; its tokens are JWTs."""
    with Provider([CANARY], logs / "canary-provider.log").start() as provider:
        yield provider


def test_a_redis_dump_reveals_no_client_data(
    nginx: Start, certified: Provider, upstream: Upstream, redis: Redis, pepper: Path
) -> None:
    first, second = (gateway(nginx, directives(redis.url(), pepper, PATIENT), certified, upstream) for _ in range(2))
    assert [status(server, CANARY) for server in (first, second)] == ["MISS", "SHARED"]
    assert ask(second.port, headers=CANARY.wrong().basic).status == 401
    assert ask(first.port, f"/purge?client_id={CANARY.id}", method="POST").status == 200
    until(lambda: redis.keys("n") == 1, "the purge")
    assert status(first, CANARY) == "MISS"
    planted = canaries(CANARY, upstream)
    everything = redis.dump() + redis.everything()
    assert redis.keys("v") == 2
    assert traces(planted, everything) == []
    # A canary in the clear is found: in a key, and in one value among many.
    redis.cli("SET", "planted", planted["token"])
    redis.cli("SET", base64.b64encode(CANARY.secret.encode()), "planted")
    found = traces(planted, redis.dump() + redis.everything())
    assert "token, raw" in found and "secret, base64 at 0" in found


def test_a_sqlite_file_reveals_no_client_data(
    nginx: Start, certified: Provider, upstream: Upstream, tmp_path: Path
) -> None:
    directory = tmp_path / "store"
    store = directives(f"sqlite:{directory}/tokens.db", None, PATIENT)
    first, second = (gateway(nginx, store, certified, upstream) for _ in range(2))
    assert [status(server, CANARY) for server in (first, second)] == ["MISS", "SHARED"]
    assert ask(second.port, headers=CANARY.wrong().basic).status == 401
    assert ask(first.port, f"/purge?client_id={CANARY.id}", method="POST").status == 200
    assert status(first, CANARY) == "MISS"
    planted = canaries(CANARY, upstream)
    files = {file.name: file.read_bytes() for file in directory.iterdir()}
    assert {"tokens.db", "tokens.db-wal", "tokens.db.pepper"} <= set(files)
    assert len(files["tokens.db-wal"]) > 4096, "what was put last is here"
    assert traces(planted, b"".join(files.values())) == []
    # A canary in the clear is found in the write-ahead log too.
    with closing(sqlite3.connect(directory / "tokens.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE planted (text)")
        for text in (planted["token"], CANARY.secret.encode().hex()):
            connection.execute("INSERT INTO planted VALUES (?)", [text])
        files = {file.name: file.read_bytes() for file in directory.iterdir()}
    assert {"token, raw", "secret, hex"} <= set(traces(planted, b"".join(files.values())))


def test_store_and_pepper_reveal_no_token_without_the_secret(
    nginx: Start, certified: Provider, upstream: Upstream, redis: Redis, pepper: Path
) -> None:
    """Somebody who has both asks with a gateway of their own and another secret: nothing opens, the provider refuses."""
    store = directives(redis.url(), pepper, PATIENT)
    assert status(gateway(nginx, store, certified, upstream), CANARY) == "MISS"
    thief = gateway(nginx, store, certified, upstream)
    for wrong in (CANARY.wrong(), Client(CANARY.id, CANARY.secret[:-1]), Client(CANARY.id.upper(), CANARY.secret)):
        assert ask(thief.port, headers=wrong.basic).status == 401
    assert counted(thief, "hits") == 0
    # Nor where values are put where that gateway looks.
    assert redis.cli("EVAL", CHANGE_PLACES, "0") == b"4"
    another = gateway(nginx, store, certified, upstream)
    assert ask(another.port, headers=CANARY.wrong().basic).status == 401
    assert status(another, CANARY) == "MISS"
    assert counted(another, "hits") == 0


# Each key gets the value of the next.
CHANGE_PLACES = """
    local keys = redis.call('KEYS', '{credgate:}v*')
    local values = redis.call('MGET', unpack(keys))
    for number, key in ipairs(keys) do redis.call('SET', key, values[number % #keys + 1]) end
    return #keys
"""
