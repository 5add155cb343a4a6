"""nginx with the credgate module, in a directory of its own."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from support.http import ask
from support.process import ROOT, Service, free_port, gone, until

MODULE = Path(os.environ.get("CREDGATE_NGINX_MODULE", ROOT / "target/nginx/ngx_http_credgate_module.so"))
BINARY = os.environ.get("CREDGATE_NGINX", "nginx")
AUDIENCE = "https://example.com/"
# A sanitizer makes each of them many times as slow.
MANY_WORKERS = 4 if "ASAN_OPTIONS" in os.environ else 140
STATUS = "add_header X-Credgate-Status $credgate_cache_status always"


def gate(issuer: str, *more: str) -> list[str]:
    """The directives of a gate for `issuer`, plus `more`, as in the README."""
    plain = ["credgate_allow_loopback_http on"] if issuer.startswith("http:") else []
    settings = [f"credgate_issuer {issuer}", f"credgate_token_post_arg audience {AUDIENCE}"]
    return ["credgate on", *settings, *plain, *more]


def location(path: str, *directives: str) -> str:
    """One location block; directives come without their semicolon."""
    lines = "".join(f"    {directive};\n" for directive in directives)
    return f"location {path} {{\n{lines}}}\n"


def guarded(upstream: str, issuer: str, *more: str, path: str = "/") -> str:
    """The usual location: a gate, its status in a header, and an upstream."""
    return location(path, *gate(issuer, *more), STATUS, f"proxy_pass {upstream}")


def waiting(server: "Nginx") -> float:
    """The number of requests that wait for an exchange, from a location /metrics."""
    text = ask(server.port, "/metrics").body.decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("credgate_waiting_requests"))


class Nginx(Service):
    """One server on `port` (HTTP/1.1) and `h2_port` (HTTP/2 with prior knowledge).

    `server` is the text inside server{}, `http` the text before it, `main` the text at the top, `events` in events{}. A quiet one
    logs neither requests nor messages of level info: hours of traffic fill no disk.
    """

    def __init__(
        self,
        directory: Path,
        server: str,
        *,
        http: str = "",
        main: str = "",
        workers: int = 1,
        wrapper: Iterable[str | Path] = (),
        connections: int = 4096,
        events: str = "",
        loaded: bool = True,
        user: str = "root",
        quiet: bool = False,
    ):
        self.directory = directory
        self.h2_port = free_port()
        self.status_port = free_port()
        self.error_log = directory / "error.log"
        self.access_log = directory / "access.log"
        self.conf = directory / "nginx.conf"
        port = free_port()
        self.configured_workers = workers
        directory.mkdir(parents=True, exist_ok=True)
        main = f"{f'load_module {MODULE};' if loaded else ''}\nuser {user};\n{main}"
        self.conf.write_text(self._text(server, http, main, workers, port, f"worker_connections {connections}; {events}", quiet))
        self.error_log.touch()
        self.arguments = [*wrapper, BINARY, "-p", directory, "-c", self.conf, "-e", self.error_log]
        super().__init__(self.arguments, directory / "stderr.log", port=port)

    def _text(self, server: str, http: str, main: str, workers: int, port: int, events: str, quiet: bool) -> str:
        temporary = "\n    ".join(
            f"{kind}_temp_path {self.directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        # A binary that takes over gets no other environment than this.
        kept = "".join(f"env {name};\n" for name in os.environ if name.endswith("SAN_OPTIONS"))
        return f"""\
{main}
{kept}daemon off;
worker_processes {workers};
pid {self.directory}/nginx.pid;
error_log {self.error_log} {"notice" if quiet else "info"};
events {{ {events} }}
http {{
    access_log {"off" if quiet else f"{self.access_log} combined"};
    {temporary}
    lingering_time 2s;
    lingering_timeout 200ms;
{http}
server {{
    listen 127.0.0.1:{port} backlog=2048;
    listen 127.0.0.1:{self.h2_port} http2 backlog=2048;
{server}
}}
server {{
    listen 127.0.0.1:{self.status_port};
    access_log off;
    location / {{ stub_status; }}
}}
}}
"""

    def check(self) -> subprocess.CompletedProcess[str]:
        """`nginx -t`: its exit status and its output."""
        return subprocess.run(
            [*self.arguments, "-t"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )

    @property
    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return {int(pid) for pid in children.split()}

    @property
    def busy(self) -> int:
        """Requests that nginx has read and not yet answered."""
        status = ask(self.status_port).body.decode()
        return int(status.split("Writing:")[1].split()[0]) - 1

    def reload(self) -> set[int]:
        """SIGHUP, until new workers run; returns the old ones, which may still be busy."""
        old = self.workers
        self.kill(signal.SIGHUP)
        until(lambda: len(self.workers - old) == self.configured_workers, "new workers")
        return old

    def quit(self) -> None:
        self.kill(signal.SIGQUIT)

    @property
    def errors(self) -> str:
        return self.error_log.read_text(errors="replace")

    @property
    def logs(self) -> bytes:
        """Everything that nginx wrote, anywhere."""
        files = (self.error_log, self.access_log, self.log)
        return b"".join(file.read_bytes() for file in files if file.exists())

    def alarms(self) -> list[str]:
        """Lines of the error log that no test may cause: alerts of nginx and reports of a sanitizer."""
        return re.findall(r".*(?:\[(?:alert|emerg|crit)\]|:\d+: runtime error:|ERROR: \w+Sanitizer).*", self.errors)

    def ready(self) -> bool:
        """Does a worker respond? The master listens before it has any."""
        try:
            return super().ready() and self.busy >= 0
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self.start()


@contextmanager
def upgradable(server: Nginx) -> Iterator[Callable[[], None]]:
    """Runs the server as a daemon, and gives a function that upgrades the binary: only a daemon upgrades itself."""
    server.conf.write_text(server.conf.read_text().replace("daemon off;", "daemon on;"))
    # It executes what it was called by, and looks nowhere.
    binary = shutil.which(BINARY)
    assert binary
    subprocess.run([binary if part == BINARY else part for part in server.arguments], check=True, timeout=30)
    pid_file = server.directory / "nginx.pid"
    masters: list[int] = []

    def await_master() -> None:
        # The calling process exits before the daemon has written its pid.
        until(lambda: _read_pid(pid_file) not in (None, *masters), "the master's number")
        masters.append(_read_pid(pid_file) or 0)
        until(server.ready, "the master")

    def upgrade() -> None:
        os.kill(masters[-1], signal.SIGUSR2)
        await_master()
        os.kill(masters[-2], signal.SIGWINCH)
        os.kill(masters[-2], signal.SIGQUIT)
        until(lambda: gone(masters[-2]), "the first master's end")

    try:
        await_master()
        yield upgrade
    finally:
        for master in masters:
            if not gone(master):
                os.kill(master, signal.SIGQUIT)
                until(lambda master=master: gone(master), "the end")


def _read_pid(file: Path) -> int | None:
    """None while there is none: a signal to 0 would be one to all of this process's group."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
