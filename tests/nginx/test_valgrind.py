"""The module under memcheck, through every kind of request, and proof that memcheck would see a fault."""

import subprocess
from pathlib import Path

from conftest import ALICE, BOB, CAROL
from support import valgrind
from support.endpoints import GRANT
from support.h2 import H2Connection
from support.http import FORM, SOURCES, Connection, ask
from support.lab import Provider, Scripted, Upstream
from support.nginx import Nginx, gate, guarded, location
from support.process import free_port, until

PLANTED = """
#include <stdlib.h>
char *volatile credgate_sink;
void credgate_planted(void) {
    char *written = malloc(8);
    written[8] = 1;                     /* one byte too far */
    free(written);
    credgate_sink = malloc(32);
    credgate_sink = NULL;               /* lost */
}
"""
PROGRAM = """
#include <dlfcn.h>
int main(int count, char **arguments) {
    void *library = dlopen(arguments[1], RTLD_NOW);
    void (*planted)(void) = (void (*)(void)) dlsym(library, "credgate_planted");
    planted();
    return dlclose(library);
}
"""


def test_memcheck_reports_a_planted_write_and_a_planted_leak_of_an_unloaded_library(tmp_path: Path) -> None:
    library, program, report = tmp_path / "libcredgate_planted.so", tmp_path / "program", tmp_path / "report.xml"
    (tmp_path / "planted.c").write_text(PLANTED)
    (tmp_path / "program.c").write_text(PROGRAM)
    build = ["cc", "-g", "-O0", "-o"]
    subprocess.run([*build, library, "-shared", "-fPIC", tmp_path / "planted.c"], check=True, timeout=60)
    subprocess.run([*build, program, tmp_path / "program.c", "-ldl"], check=True, timeout=60)
    subprocess.run([*valgrind.command(report), program, library], check=True, timeout=120)
    kinds = [finding.split(":")[0] for finding in valgrind.findings(report)]
    assert sorted(kinds) == ["InvalidWrite", "Leak_DefinitelyLost"]


def test_memcheck_reports_nothing_on_any_request_path(
    tmp_path: Path, provider: Provider, scripted: Scripted, upstream: Upstream
) -> None:
    report = tmp_path / "report.xml"
    down = f"http://127.0.0.1:{free_port()}"
    server = Nginx(
        tmp_path / "nginx",
        guarded(upstream.url, provider.issuer, "credgate_timeout 60s")
        + guarded(upstream.url, scripted.issuer, "credgate_timeout 60s", path="/held/")
        + guarded(upstream.url, scripted.issuer, "credgate_timeout 300ms", path="/hasty/")
        + guarded(upstream.url, down, path="/down/")
        + location("= /token", *gate(provider.issuer)[1:], "credgate_token")
        + location("= /check", *gate(provider.issuer)[1:], "credgate_timeout 60s", "credgate_check")
        + location("= /held-token", *gate(scripted.issuer)[1:], "credgate_timeout 60s", "credgate_token")
        + location("= /held-check", *gate(scripted.issuer)[1:], "credgate_timeout 60s", "credgate_check")
        + location("/asking/", "auth_request /check", f"proxy_pass {upstream.url}")
        + location("/held-asking/", "auth_request /held-check", f"proxy_pass {upstream.url}")
        + location("= /status", "credgate_status"),
        main="master_process off;",
        http="client_body_buffer_size 1k; credgate_metrics_clients 9;",
        wrapper=valgrind.command(report),
    )
    with valgrind.clean(server, report):
        for source in SOURCES:
            for client, status in ((ALICE, 200), (ALICE, 200), (BOB.wrong(), 401)):
                assert ask(server.port, **client.request(source)).status == status
        big = {**ALICE.request("form"), "body": f"{ALICE.parameters}&filler={'x' * 50_000}"}
        assert ask(server.port, **big).status == 200
        assert ask(server.port).status == 401
        assert ask(server.port, f"/?client_id={ALICE.id}").status == 400
        assert ask(server.port, method="HEAD", headers=ALICE.basic).status == 200
        for source in SOURCES:
            assert ask(server.port, **CAROL.request(source, "/down/")).status == 502
        for accept in ("text/html", "*/*"):
            assert ask(server.port, "/status", headers={"Accept": accept}).status == 200

        connection = H2Connection(server.h2_port)
        connection.socket.settimeout(60)
        for source in SOURCES:
            assert connection.ask(**BOB.request(source)).status == 200

        form = {"method": "POST", "body": f"{GRANT}&{CAROL.parameters}", "headers": FORM}
        for requester in (lambda **request: ask(server.port, **request), connection.ask):
            assert requester(**{**form, "target": "/token"}).status == 200
            assert requester(**{**form, "target": "/token", "body": GRANT}).status == 401
            assert requester(target="/token").status == 400
            assert requester(target="/check", headers=CAROL.basic).status == 200
            assert requester(target="/asking/", headers=CAROL.basic).status == 200
            assert requester(target="/asking/").status == 401

        scripted.hold()
        for source in SOURCES:
            leaving = Connection(server.port)
            leaving.send(**CAROL.request(source, "/held/"))
            stream = connection.send(**CAROL.request(source, "/held/"))
            until(lambda: server.busy >= 2, "the pending requests", 60)
            leaving.close()
            connection.cancel(stream)
            until(lambda: server.busy <= 1, "the departures", 60)
        for request in ({**form, "target": "/held-token"}, {"target": "/held-asking/", "headers": CAROL.basic}):
            leaving = Connection(server.port)
            leaving.send(**request)
            stream = connection.send(**request)
            until(lambda: server.busy >= 2, "the pending requests", 60)
            leaving.close()
            connection.cancel(stream)
            until(lambda: server.busy <= 1, "the departures", 60)
        assert ask(server.port, "/hasty/", headers=ALICE.basic).status == 504

        connection.close()
        pending = valgrind.quit_while_one_waits(server, CAROL, "/held/")
        assert server.wait(120) == 0
        pending.close()
