"""One exchange for a token, however many workers, processes and hosts there are."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ALICE, BOB
from support.http import Client, ask
from support.lab import Provider, Scripted, Upstream, bearer
from support.nginx import Nginx
from support.process import gone, until
from support.redis import Redis
from support.store import (
    PATIENT,
    Start,
    Volley,
    a_pepper,
    all_pending,
    counted,
    directives,
    gateway,
    lua_gateway,
    status,
)

HUNDRED = [Client(f"client-{number}", f"s3cret-{number}") for number in range(100)]


def exchanges_of(servers: list[Nginx], clients: list[Client], count: int, scripted: Scripted) -> int:
    """The exchanges caused by requests that all wait before the provider answers the first."""
    scripted.hold()
    volley = Volley([server.port for server in servers], clients, count)
    all_pending(servers, count)
    scripted.release()
    assert set(volley.statuses()) == {200}
    return int(scripted.state["token"])


def test_a_thousand_cold_requests_on_four_workers_cause_one_exchange(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str
) -> None:
    server = gateway(nginx, store, scripted, upstream, workers=4)
    assert exchanges_of([server], [ALICE], 1000, scripted) == 1
    until(lambda: counted(server, "puts") == 1, "the numbers of all workers")
    assert counted(server, "failures") == 0


def test_a_hundred_clients_cause_a_hundred_exchanges(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str
) -> None:
    server = gateway(nginx, store, scripted, upstream, workers=4)
    volley = Volley([server.port], HUNDRED, 1000)
    assert set(volley.statuses()) == {200}
    assert scripted.state["token"] == 100


def test_two_gateways_of_one_store_cause_one_exchange(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str
) -> None:
    servers = [gateway(nginx, store, scripted, upstream, workers=2) for _ in range(2)]
    assert exchanges_of(servers, [ALICE], 200, scripted) == 1


def test_nginx_and_lua_share_one_file(nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/store/tokens.db"
    module = gateway(nginx, directives(url, None, PATIENT), scripted, upstream)
    lua = lua_gateway(nginx, scripted, upstream, store=url, store_timeout=5000)
    assert exchanges_of([module, lua], [ALICE], 200, scripted) == 1
    assert status(module, BOB) == "MISS"
    assert status(lua, BOB) == "SHARED"


def test_one_lua_worker_reports_the_metrics_of_all(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    """They have no zone in common."""
    options = {"store": f"sqlite:{tmp_path}/store/tokens.db", "store_timeout": 5000, "store_metrics": True}
    text = 'content_by_lua_block { ngx.print(require("resty.credgate").metrics()) }'
    server = lua_gateway(nginx, scripted, upstream, f"location = /metrics {{ {text} }}", workers=2, **options)
    assert set(Volley([server.port], [ALICE], 60).statuses()) == {200}

    def requests() -> int:
        lines = ask(server.port, "/metrics").body.decode().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("credgate_requests_total{"))

    until(lambda: requests() == 60, "the numbers of both workers")


def test_a_shared_token_is_identical_and_verified_again(
    nginx: Start, provider: Provider, upstream: Upstream, store: str
) -> None:
    """With the certified provider, whose tokens are JWTs: claims and policy are those of the first exchange."""
    claim = "credgate_upstream_header x-client client_id"
    servers = [gateway(nginx, store, provider, upstream, claim) for _ in range(2)]
    seen = []
    for server, how in zip(servers, ("MISS", "SHARED"), strict=True):
        assert status(server, ALICE) == how
        seen.append((bearer(upstream.last), dict(upstream.last["headers"]).get("x-client")))
    assert seen[0] == seen[1]
    assert seen[0][1] == "alice"
    assert provider.count["token"] == 1


def test_a_token_is_never_shared_with_another_secret(
    nginx: Start, provider: Provider, upstream: Upstream, store: str
) -> None:
    servers = [gateway(nginx, store, provider, upstream) for _ in range(2)]
    assert status(servers[0], ALICE) == "MISS"
    assert ask(servers[1].port, headers=ALICE.wrong().basic).status == 401
    assert provider.count["refused"] == 2, "one request with each authentication method"


def test_a_refusal_is_shared(nginx: Start, scripted: Scripted, upstream: Upstream, store: str) -> None:
    keep = "credgate_cache_ttl_neg 60s"
    servers = [gateway(nginx, store, scripted, upstream, keep) for _ in range(2)]
    for server in servers:
        assert ask(server.port, headers=ALICE.wrong().basic).status == 401
    assert scripted.state["token"] == 2, "one request with each authentication method"


def test_a_provider_429_pauses_all_processes(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str
) -> None:
    servers = [gateway(nginx, store, scripted, upstream) for _ in range(2)]
    scripted.script(status=429, headers={"retry-after": "60"}, body="")
    for server in servers:
        answer = ask(server.port, headers=ALICE.basic)
        assert answer.status == 503
        assert 50 <= int(answer.header("Retry-After") or 0) <= 60
    assert scripted.state["token"] == 1


def test_a_reload_with_a_warm_store_causes_no_exchange(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str
) -> None:
    server = gateway(nginx, store, scripted, upstream, workers=2)
    Volley([server.port], HUNDRED, 100).statuses()
    assert scripted.state["token"] == 100
    old = server.reload()
    until(lambda: all(gone(pid) for pid in old), "the old workers' end")
    assert set(Volley([server.port], HUNDRED, 400).statuses()) == {200}
    assert scripted.state["token"] == 100


@pytest.mark.parametrize("way", [signal.SIGQUIT, signal.SIGTERM], ids=["quit", "terminate"])
def test_a_restart_with_a_warm_store_causes_no_exchange(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str, way: signal.Signals
) -> None:
    server = gateway(nginx, store, scripted, upstream, workers=2)
    Volley([server.port], HUNDRED, 100).statuses()
    server.stop(way)
    server.start()
    assert set(Volley([server.port], HUNDRED, 400).statuses()) == {200}
    assert scripted.state["token"] == 100


def test_a_wiped_store_costs_at_most_one_exchange_per_token(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = gateway(nginx, store, scripted, upstream, workers=4)

    def wipe() -> None:
        if "redis:" in store:
            request.getfixturevalue("redis").cli("FLUSHALL")
        else:
            for file in (tmp_path / "store").glob("tokens.db*"):
                if not file.name.endswith(".pepper"):
                    file.unlink()

    clients = HUNDRED[:20]
    Volley([server.port], clients, 40).statuses()
    before = scripted.state["token"]
    with ThreadPoolExecutor(1) as pool:
        volleys = pool.submit(lambda: [Volley([server.port], clients, 400).statuses() for _ in range(3)])
        wipe()
        assert {one for statuses in volleys.result() for one in statuses} == {200}
    assert set(Volley([server.port], clients, 400).statuses()) == {200}
    assert scripted.state["token"] <= before + len(clients)


def test_a_purge_reaches_the_other_processes(nginx: Start, scripted: Scripted, upstream: Upstream, store: str) -> None:
    servers = [gateway(nginx, store, scripted, upstream, workers=2) for _ in range(2)]
    for server in servers:
        assert set(Volley([server.port], [ALICE, BOB], 40).statuses()) == {200}
    assert scripted.state["token"] == 2
    assert ask(servers[0].port, "/purge?client_id=alice", method="POST").status == 200
    # Wherever it is asked for from now on, and as soon as the others have looked, it is exchanged once more.
    until(lambda: status(servers[1], ALICE) in ("MISS", "SHARED"), "the purge")
    assert status(servers[0], ALICE) in ("MISS", "SHARED", "HIT")
    assert status(servers[1], BOB) in ("SHARED", "HIT")
    assert scripted.state["token"] == 3
    assert ask(servers[1].port, "/purge?all", method="POST").status == 200
    until(lambda: status(servers[0], BOB) in ("MISS", "SHARED"), "the other purge")


def test_a_purged_token_does_not_return_from_the_store(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str
) -> None:
    first = gateway(nginx, store, scripted, upstream)
    assert status(first, ALICE) == "MISS"
    assert ask(first.port, "/purge?client_id=alice", method="POST").status == 200
    assert status(first, ALICE) == "MISS"
    second = gateway(nginx, store, scripted, upstream)
    assert status(second, ALICE) == "SHARED"
    assert scripted.state["token"] == 2


def test_gates_that_request_different_tokens_do_not_share(
    nginx: Start, scripted: Scripted, upstream: Upstream, store: str
) -> None:
    servers = [gateway(nginx, store, scripted, upstream, f"credgate_scopes {scope}") for scope in ("read", "write")]
    assert [status(server, ALICE) for server in servers] == ["MISS", "MISS"]


def test_stores_with_other_peppers_and_prefixes_do_not_share(
    nginx: Start, scripted: Scripted, upstream: Upstream, redis: Redis, tmp_path: Path, pepper: Path
) -> None:
    url = redis.url()
    stores = [
        directives(url, pepper, PATIENT),
        directives(url, a_pepper(tmp_path, "other"), PATIENT),
        directives(url, pepper, PATIENT, "credgate_store_prefix other:;"),
        directives(redis.url(1), pepper, PATIENT),
    ]
    servers = [gateway(nginx, store, scripted, upstream) for store in stores]
    assert [status(server, ALICE) for server in servers] == ["MISS"] * 4


def test_tokens_sealed_under_a_previous_pepper_can_be_read(
    nginx: Start, scripted: Scripted, upstream: Upstream, redis: Redis, tmp_path: Path, pepper: Path
) -> None:
    first = gateway(nginx, directives(redis.url(), pepper, PATIENT), scripted, upstream)
    assert status(first, ALICE) == "MISS"
    new = a_pepper(tmp_path, "new")
    rotated = directives(redis.url(), new, PATIENT, f"credgate_store_previous_pepper_files {pepper};")
    assert status(gateway(nginx, rotated, scripted, upstream), ALICE) == "SHARED"
    # It was sealed anew.
    assert status(gateway(nginx, directives(redis.url(), new, PATIENT), scripted, upstream), ALICE) == "SHARED"
