"""The proxies that are measured: one process each, on a processor of its own."""

from pathlib import Path

from bench.behind import SEEN
from bench.cases import MACHINE, Case
from support.envoy import Envoy
from support.http import ask
from support.process import Service, free_port

MODULES = Path("/usr/lib/nginx/modules")
PROXY = "0"
"""The processor of the proxy that is measured; all else is on another."""


class Proxy(Service):
    """An nginx of one process."""

    def __init__(self, directory: Path, case: Case, upstream: int, *, wrapper: tuple[str, ...] = ()):
        directory.mkdir(parents=True)
        self.case = case
        port = free_port()
        modules = "".join(f"load_module {MODULES / module};\n" for module in case.modules)
        temporary = "".join(
            f"{kind}_temp_path {directory};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (directory / "nginx.conf").write_text(f"""
            {modules}
            user root; daemon off; master_process off; worker_processes 1;
            pid {directory}/nginx.pid; error_log {directory}/error.log warn;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; {temporary} keepalive_requests 1000000000;
                {case.http}
                upstream behind {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
                server {{
                    listen 127.0.0.1:{port} backlog=1024;
                    proxy_http_version 1.1;
                    {case.server}
                    location / {{
                        proxy_pass http://behind; proxy_set_header Connection "";
                        {case.location}
                    }}
                }}
            }}
        """)
        command = ["taskset", "-c", PROXY, *wrapper, "nginx", "-p", directory, "-c", directory / "nginx.conf"]
        super().__init__(
            [*command, "-e", directory / "error.log"], directory / "stderr.log", port=port, env=case.environment
        )

    def warm(self) -> None:
        warm(self, self.case)


def warm(proxy: Service, case: Case) -> None:
    """The upstream gets a token in place of the credentials, unless the case is one without."""
    scheme = "Bearer ey" if case.token else "Basic "
    for _ in range(50):
        answer = ask(proxy.port, SEEN, headers=MACHINE.basic)
        assert answer.status == 200 and answer.body.decode().startswith(scheme), (case.name, answer)


def start(directory: Path, case: Case, upstream: int) -> Service:
    """The proxy of a case, warm."""
    proxy: Service
    if case.filters is None:
        proxy = Proxy(directory, case, upstream)
    else:
        pinned = ("taskset", "-c", PROXY)
        proxy = Envoy(directory, case.filters, {"upstream": upstream}, secrets=case.secrets, wrapper=pinned)
    proxy.start()
    try:
        warm(proxy, case)
    except BaseException:
        proxy.stop()
        raise
    return proxy
