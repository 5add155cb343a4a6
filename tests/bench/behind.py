"""An upstream that answers every request."""

from pathlib import Path

from support.process import Service, free_port

OTHERS = "1"
"""The processor of wrk and of the upstream, which is not that of what is measured."""
SEEN = "/seen"
JUDGE = "/judge"


class Behind(Service):
    """The upstream: an nginx that answers 200 to everything.

    To SEEN it answers with the Authorization header that reached it. JUDGE is a service for `auth_request` that lets all
    requests in with the same token: the cheapest service that there can be.
    """

    def __init__(self, directory: Path, token: str = ""):
        directory.mkdir(parents=True)
        port = free_port()
        temporary = "".join(
            f"{kind}_temp_path {directory};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (directory / "nginx.conf").write_text(f"""
            user root; daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/error.log warn;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; {temporary} keepalive_requests 1000000000;
                server {{
                    listen 127.0.0.1:{port} backlog=1024;
                    location / {{ return 200 "ok"; }}
                    location = {SEEN} {{ return 200 $http_authorization; }}
                    location = {JUDGE} {{ add_header X-Token "Bearer {token}"; return 204; }}
                }}
            }}
        """)
        command = ["taskset", "-c", OTHERS, "nginx", "-p", directory, "-c", directory / "nginx.conf"]
        super().__init__([*command, "-e", directory / "error.log"], directory / "stderr.log", port=port)
