"""Redis: a real server, and one that misbehaves on request."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from support.lab import Authority, Part
from support.process import LAB, ROOT, Service, free_port

EVERYTHING = r"""
    local found = {}
    local function add(value)
        if type(value) == 'table' then for _, one in ipairs(value) do add(one) end else table.insert(found, value) end
    end
    local ask = {
        string = {'GET'}, zset = {'ZRANGE', 0, -1}, hash = {'HGETALL'}, set = {'SMEMBERS'}, list = {'LRANGE', 0, -1},
    }
    for _, key in ipairs(redis.call('KEYS', '*')) do
        local question = ask[redis.call('TYPE', key).ok]
        add(key)
        add(redis.call(question[1], key, unpack(question, 2)))
    end
    return table.concat(found, ' ')
"""
# The permissions that the documentation's example gives a user.
_, _, after = (ROOT / "ffi/nginx/STORE.md").read_text().partition("ACL SETUSER gateway on >PASSWORD ")
RIGHTS = " ".join(after.partition("```")[0].split())
USER, PASSWORD = "gateway", "Redis+Kanarie/5:@%"


class Redis(Service):
    """`redis-server` on a TCP port, a Unix socket, and with `tls` on a port for TLS; keeps nothing on disk.

    With `asks` it wants a certificate from who comes over TLS. With `login` only USER may do anything, with PASSWORD, and
    that what these rights say.
    """

    def __init__(
        self,
        directory: Path,
        *,
        tls: Authority | None = None,
        login: str = "",
        cluster: bool = False,
        asks: bool = False,
        options: tuple[str, ...] = (),
    ):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.socket = directory / "redis.sock"
        self.tls_port = free_port() if tls else 0
        port = free_port()
        lines = [
            f"port {port}", "bind 127.0.0.1", f"dir {directory}", f"unixsocket {self.socket}", 'save ""',
            "rdbcompression no", *options,
        ]  # fmt: skip
        if tls:
            lines += [f"tls-port {self.tls_port}", f"tls-cert-file {tls.cert}", f"tls-key-file {tls.key}"]
            lines += [f"tls-ca-cert-file {tls.ca}", f"tls-auth-clients {'yes' if asks else 'no'}"]
        self.bus_port = free_port() if cluster else 0
        if cluster:
            lines += ["cluster-enabled yes", f"cluster-port {self.bus_port}"]
        if login:
            lines += ["user default off", f"user {USER} on >{PASSWORD} {login}", "user admin on >admin ~* &* +@all"]
        self.admin = ("--user", "admin", "--pass", "admin", "--no-auth-warning") if login else ()
        (directory / "redis.conf").write_text("\n".join(lines) + "\n")
        super().__init__(["redis-server", directory / "redis.conf"], directory / "redis.log", port=port)

    def cli(self, *words: str | bytes) -> bytes:
        """The output of redis-cli."""
        command: list[str | bytes] = ["redis-cli", "-p", str(self.port), *self.admin, *words]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
        return done.stdout.removesuffix(b"\n")

    def keys(self, kind: str = "") -> int:
        """The number of keys of a kind: `v` for values."""
        found = self.cli("--no-raw", "EVAL", f"return #redis.call('KEYS', '{{credgate:}}{kind}*')", "0")
        return int(found.split()[-1])

    def dump(self) -> bytes:
        """The bytes that a server would write to its disk."""
        path = self.directory / "dump.rdb"
        path.unlink(missing_ok=True)
        self.cli("SAVE")
        return path.read_bytes()

    def everything(self) -> bytes:
        """All keys with their raw values."""
        return self.cli("EVAL", EVERYTHING, "0")

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"


class Sentinel(Service):
    """A Sentinel that alone, and quickly, declares a server down and promotes its replica."""

    def __init__(self, directory: Path, name: str, watched: Redis):
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        lines = [
            f"port {port}", "bind 127.0.0.1", f"dir {directory}", f"sentinel monitor {name} 127.0.0.1 {watched.port} 1",
            f"sentinel down-after-milliseconds {name} 500", f"sentinel failover-timeout {name} 2000",
        ]  # fmt: skip
        (directory / "sentinel.conf").write_text("\n".join(lines) + "\n")
        command = ["redis-server", directory / "sentinel.conf", "--sentinel"]
        super().__init__(command, directory / "sentinel.log", port=port)

    def knows_replicas(self, name: str) -> bool:
        command = ["redis-cli", "-p", str(self.port), "SENTINEL", "REPLICAS", name]
        return b"runid" in subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


class ScriptedRedis(Part):
    """The Redis of lab/scripted_redis.py."""

    def __init__(self, log: Path):
        self.redis_port = free_port()
        control = free_port()
        command = [sys.executable, LAB / "scripted_redis.py", str(self.redis_port), str(control)]
        super().__init__(command, log, port=control)

    @property
    def state(self) -> Any:
        return self.control("/_control/state")

    def script(self, command: str, **what: Any) -> None:
        self.control("/_control/script", "POST", {"command": command, **what})

    def store(self, key: str, value: str) -> None:
        self.control("/_control/store", "POST", {"key": key, "value": value})

    def exchange(self) -> None:
        self.control("/_control/exchange", "POST")

    def reset(self) -> None:
        self.control("/_control/reset", "POST")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.redis_port}/0"
