"""Ways to reach a Redis, and how it is left alone and found again."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from conftest import ALICE, BOB, CAROL
from support.http import Client, ask
from support.lab import Authority, Scripted, Upstream
from support.nginx import Nginx
from support.process import until
from support.redis import PASSWORD, RIGHTS, USER, Redis, Sentinel
from support.store import PATIENT, Start, counted, directives, gateway, lua_gateway, status

Servers = Callable[..., Redis]


def shares(nginx: Start, scripted: Scripted, upstream: Upstream, store: str) -> None:
    """Two gateways behind it have one token."""
    servers = [gateway(nginx, store, scripted, upstream) for _ in range(2)]
    assert [status(server, ALICE) for server in servers] == ["MISS", "SHARED"]
    assert [counted(server, "failures") for server in servers] == [0, 0], servers[0].errors


def test_a_redis_over_tcp_with_a_database_is_used(
    nginx: Start, scripted: Scripted, upstream: Upstream, redis: Redis, pepper: Path
) -> None:
    shares(nginx, scripted, upstream, directives(redis.url(3), pepper, PATIENT))
    assert b"db3:keys=" in redis.cli("INFO", "keyspace")


def test_a_redis_over_a_unix_socket_is_used(nginx: Start, scripted: Scripted, upstream: Upstream, redis: Redis, pepper: Path) -> None:
    shares(nginx, scripted, upstream, directives(f"redis+unix://{redis.socket}?db=2", pepper, PATIENT))
    assert b"db2:keys=" in redis.cli("INFO", "keyspace")


def test_the_valkey_scheme_is_accepted(
    nginx: Start, scripted: Scripted, upstream: Upstream, redis: Redis, pepper: Path
) -> None:
    shares(nginx, scripted, upstream, directives(redis.url().replace("redis:", "valkey:"), pepper, PATIENT))


def test_the_documented_permissions_suffice_over_tls(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, authority: Authority, pepper: Path
) -> None:
    redis = own_redis(tls=authority, login=RIGHTS)
    url = f"rediss://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{redis.tls_port}/0"
    store = directives(url, pepper, PATIENT, f"credgate_store_ca_file {authority.ca};")
    shares(nginx, scripted, upstream, store)
    # Rarer operations: purges and metrics.
    server = gateway(nginx, store, scripted, upstream)
    assert ask(server.port, "/purge?all", method="POST").status == 200
    until(lambda: redis.keys("n") == 1, "the purge")
    options = {"store": url, "store_pepper_file": str(pepper), "store_ca_file": str(authority.ca)}
    lua = lua_gateway(nginx, scripted, upstream, store_metrics=True, store_timeout=5000, **options)
    assert status(lua, ALICE) == "MISS"
    until(lambda: redis.keys("g") == 1, "the numbers")
    assert redis.cli("ACL", "LOG") == b"", "what it was denied"


def test_a_rotated_password_file_is_used_by_the_next_connection(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, pepper: Path, tmp_path: Path
) -> None:
    redis = own_redis(login=RIGHTS)
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    url = f"redis://{USER}@127.0.0.1:{redis.port}/0"
    store = directives(url, pepper, PATIENT, f"credgate_store_password_file {file};")
    shares(nginx, scripted, upstream, store)
    server = gateway(nginx, store, scripted, upstream)
    assert status(server, ALICE) == "SHARED"
    redis.cli("ACL", "SETUSER", USER, "resetpass", ">another")
    redis.cli("CLIENT", "KILL", "USER", USER)
    file.write_text("another")
    # It is stored as soon as there is a connection.
    assert ask(server.port, "/purge?all", method="POST").status == 200
    until(lambda: redis.keys("n") == 1, "the purge")
    assert PASSWORD not in server.errors and "another" not in server.errors


def test_a_client_certificate_is_presented_on_request(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, authority: Authority, pepper: Path
) -> None:
    redis = own_redis(tls=authority, asks=True)
    more = [PATIENT, f"credgate_store_ca_file {authority.ca};"]
    shown = [f"credgate_store_client_cert_file {authority.cert};", f"credgate_store_client_key_file {authority.key};"]
    url = f"rediss://127.0.0.1:{redis.tls_port}"
    shares(nginx, scripted, upstream, directives(url, pepper, *more, *shown))
    without = gateway(nginx, directives(url, pepper, *more), scripted, upstream)
    assert status(without, BOB) == "MISS"
    assert counted(without, "failures") > 0


def test_a_cluster_redirect_is_followed_to_the_node_of_the_keys(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, pepper: Path
) -> None:
    nodes = [own_redis(cluster=True) for _ in range(2)]
    nodes[0].cli("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
    nodes[1].cli("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
    nodes[0].cli("CLUSTER", "MEET", "127.0.0.1", str(nodes[1].port), str(nodes[1].bus_port))
    until(lambda: all(b"cluster_state:ok" in node.cli("CLUSTER", "INFO") for node in nodes), "the cluster")
    stores = [directives(node.url(), pepper, PATIENT) for node in nodes]
    servers = [gateway(nginx, store, scripted, upstream) for store in stores]
    assert [status(server, ALICE) for server in servers] == ["MISS", "SHARED"]
    assert sorted(node.keys("v") for node in nodes) == [0, 1]


def is_primary(redis: Redis) -> bool:
    try:
        return b"role:master" in redis.cli("INFO", "replication")
    except subprocess.CalledProcessError:
        return False  # a promotion closes all connections to the replica


def test_sentinels_name_the_primary_again_after_a_failover(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, pepper: Path, tmp_path: Path
) -> None:
    primary, replica = own_redis(), own_redis()
    replica.cli("REPLICAOF", "127.0.0.1", str(primary.port))
    with Sentinel(tmp_path / "sentinel", "tokens", primary).start() as sentinel:
        until(lambda: sentinel.knows_replicas("tokens"), "the sentinel to know of both")
        # The first of them does not answer.
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/tokens"
        shares(nginx, scripted, upstream, directives(url, pepper, PATIENT))
        server = gateway(nginx, directives(url, pepper), scripted, upstream)
        assert status(server, BOB) == "MISS"
        primary.stop(signal.SIGKILL)
        until(lambda: is_primary(replica), "the failover", 60)
        until(lambda: found(server, replica), "the new primary")
        unknown = gateway(nginx, directives(url.replace("tokens", "others"), pepper, PATIENT), scripted, upstream)
        assert status(unknown, CAROL) == "MISS"
        unknown.stop(signal.SIGQUIT)
        assert "its sentinels know no primary of that name" in unknown.errors


def test_a_redis_that_starts_later_is_used(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, pepper: Path
) -> None:
    redis = own_redis()
    redis.stop()
    server = gateway(nginx, directives(redis.url(), pepper), scripted, upstream)
    assert status(server, ALICE) == "MISS"
    assert counted(server, "failures") > 0
    redis.start()
    until(lambda: found(server, redis), "the server")


def test_a_restarted_redis_is_used_again(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, pepper: Path
) -> None:
    redis = own_redis()
    server = gateway(nginx, directives(redis.url(), pepper), scripted, upstream)
    assert status(server, ALICE) == "MISS"
    redis.stop(signal.SIGKILL)
    assert status(server, BOB) == "MISS"
    assert status(server, ALICE) == "HIT"
    assert counted(server, "failures") > 0
    redis.start()
    until(lambda: found(server, redis), "the server")
    until(lambda: "Redis at" in server.errors and "works again" in server.errors, "the record", 30)


def test_a_promoted_replica_is_used(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, pepper: Path
) -> None:
    redis = own_redis()
    redis.cli("REPLICAOF", "127.0.0.1", "1")
    server = gateway(nginx, directives(redis.url(), pepper), scripted, upstream)
    assert status(server, ALICE) == "MISS"
    assert counted(server, "failures") > 0
    redis.cli("REPLICAOF", "NO", "ONE")
    until(lambda: found(server, redis), "the primary")


NUMBERS = iter(range(1_000_000))


def found(server: Nginx, redis: Redis) -> bool:
    """A token of a client that is new arrives in the store."""
    number = next(NUMBERS)
    before = redis.keys("v")
    assert status(server, Client(f"new-{number}", "s3cret")) == "MISS"
    return redis.keys("v") > before


def test_closed_connections_cause_no_reconnect_storm(
    nginx: Start, scripted: Scripted, upstream: Upstream, redis: Redis, pepper: Path
) -> None:
    """Four workers whose connections are closed as soon as they are there."""
    server = gateway(nginx, directives(redis.url(), pepper), scripted, upstream, workers=4)

    def connections() -> int:
        text = redis.cli("INFO", "stats").decode()
        (line,) = (line for line in text.splitlines() if line.startswith("total_connections_received:"))
        return int(line.split(":")[1])

    before, started, asked = connections(), time.monotonic(), 0
    while time.monotonic() - started < 2:
        redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        status(server, Client(f"storm-{asked}", "s3cret"))
        asked += 1
    own = 2 + asked  # those of redis-cli itself, which connects for each kill
    assert connections() - before - own <= 4 * 8, "a pause between attempts, which doubles"


def test_no_log_shows_the_password(
    nginx: Start, scripted: Scripted, upstream: Upstream, own_redis: Servers, pepper: Path
) -> None:
    redis = own_redis(login=RIGHTS)
    url = f"redis://{USER}:{quote('not' + PASSWORD, safe='')}@127.0.0.1:{redis.port}/0"
    server = gateway(nginx, directives(url, pepper, PATIENT), scripted, upstream)
    assert status(server, CAROL) == "MISS"
    server.stop(signal.SIGQUIT)
    assert "user and password were refused" in server.errors
    assert b"Kanarie" not in server.logs
