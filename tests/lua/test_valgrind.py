"""The binding under memcheck: all kinds of requests, client aborts, and an exit during a wait."""

from pathlib import Path

from conftest import ALICE, BOB, CAROL
from support import valgrind
from support.http import SOURCES, Connection, ask
from support.lab import Provider, Scripted, Upstream
from support.nginx import Nginx
from support.openresty import LOAD, PATHS, gate, guarded
from support.process import free_port, until

PLAIN = """
    access_by_lua_block {
        local outcome = held:authenticate { authorization = ngx.var.http_authorization }
        ngx.exit(outcome.allowed and 204 or outcome.http_status)
    }
"""


def test_memcheck_reports_nothing_on_any_request_path(
    tmp_path: Path, provider: Provider, scripted: Scripted, upstream: Upstream
) -> None:
    report = tmp_path / "report.xml"
    down = f"http://127.0.0.1:{free_port()}"
    gates = {
        "gate": gate(provider.issuer, timeout=60_000),
        "held": gate(scripted.issuer, timeout=60_000),
        "hasty": gate(scripted.issuer, timeout=300),
        "down": gate(down),
    }
    init = "\n".join(f"{name} = {made}" for name, made in gates.items())
    server = Nginx(
        tmp_path / "nginx",
        guarded(upstream.url)
        + guarded(upstream.url, "ctx = true", path="/kept/", route="header")
        + guarded(upstream.url, path="/held/", called="held")
        + guarded(upstream.url, path="/hasty/", called="hasty")
        + guarded(upstream.url, path="/down/", called="down")
        + f"location = /plain {{ {PLAIN} }}\n"
        + 'location = /metrics { content_by_lua_block { ngx.print(require("resty.credgate").metrics()) } }\n',
        http=f"{PATHS}init_by_lua_block {{\n{init}\n}}\nlua_check_client_abort on;\nclient_body_buffer_size 1k;\n",
        main=LOAD + "master_process off;",
        loaded=False,
        wrapper=valgrind.command(report),
    )
    with valgrind.clean(server, report):
        for source in SOURCES:
            for client, status in ((ALICE, 200), (ALICE, 200), (BOB.wrong(), 401)):
                assert ask(server.port, **client.request(source)).status == status
            assert ask(server.port, **ALICE.request(source, "/kept/")).status == 200
            assert ask(server.port, **CAROL.request(source, "/down/")).status == 502
        big = {**ALICE.request("form"), "body": f"{ALICE.parameters}&filler={'x' * 50_000}"}
        assert ask(server.port, **big).status == 200
        assert ask(server.port).status == 401
        assert ask(server.port, f"/?client_id={ALICE.id}").status == 400
        assert ask(server.port, "/plain", headers=ALICE.basic).status == 204
        assert ask(server.port, "/plain").status == 401
        assert ask(server.port, "/metrics").status == 200
        for _ in range(300):
            assert ask(server.port, headers=ALICE.basic).status == 200, "until LuaJIT compiles it"

        scripted.hold()
        for source in SOURCES:
            leaving = Connection(server.port)
            leaving.send(**CAROL.request(source, "/held/"))
            until(lambda: server.busy >= 1, "the pending request", 60)
            leaving.close()
            until(lambda: server.busy == 0, "the end of the request", 60)
        assert ask(server.port, "/hasty/", headers=BOB.basic).status == 504

        pending = valgrind.quit_while_one_waits(server, CAROL, "/held/")
        scripted.release()
        assert server.wait(120) == 0
        pending.close()
