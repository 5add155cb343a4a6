"""The wheels: their tags, and the package as pip installs it in a clean Debian."""

import json
import re

import pytest

from conftest import ALICE
from packages.conftest import four_settings, package
from support.clean_debian import PACKAGES, CleanDebian
from support.lab import Authority, Provider, Upstream, bearer
from support.process import ROOT, run

GLIBC = "*-manylinux*_x86_64.whl"
WHEELS = {
    GLIBC: "manylinux_2_17_x86_64",
    "*-musllinux*_x86_64.whl": "musllinux_1_2_x86_64",
    "*-manylinux*_aarch64.whl": "manylinux_2_17_aarch64",
    "*-musllinux*_aarch64.whl": "musllinux_1_2_aarch64",
}
PROGRAM = """\
import sys
import urllib.request

import credgate

gate = credgate.Gate(open("/tmp/gate.json").read())
for _ in range(2):
    outcome = gate.authenticate(authorization=sys.argv[1])
    request = urllib.request.Request(sys.argv[2], headers=dict(outcome.headers))
    print(outcome.cache_status, urllib.request.urlopen(request).status)
"""


@pytest.mark.parametrize("wheel", [pytest.param(name, marks=pytest.mark.package(name)) for name in WHEELS])
def test_wheel_satisfies_the_policy_of_its_tag(wheel: str) -> None:
    shown = run(ROOT / "target/venv/bin/python", "-m", "auditwheel", "show", package(wheel)).stdout
    assert f'"{WHEELS[wheel]}"' in re.sub(r"\s+", " ", shown), shown


def test_there_are_no_other_wheels() -> None:
    assert sorted(PACKAGES.glob("*.whl")) == sorted(package(name) for name in WHEELS)


@pytest.mark.package(GLIBC)
def test_wheel_works_without_a_compiler_and_leaves_nothing_when_uninstalled(
    debian: CleanDebian, tls_provider: Provider, authority: Authority, upstream: Upstream
) -> None:
    debian.install("python3-venv")
    debian.trust(authority.ca)
    debian.run("python3", "-m", "venv", "/opt/gate")
    # Its own files, compiled, are not the package's.
    debian.run("/opt/gate/bin/pip", "list")
    before = debian.files()

    debian.run("/opt/gate/bin/pip", "install", "--no-index", *debian.copy(package(GLIBC)))
    debian.path("/tmp/gate.json").write_text(json.dumps(four_settings(tls_provider)))
    debian.path("/tmp/program.py").write_text(PROGRAM)
    ran = debian.run("/opt/gate/bin/python", "/tmp/program.py", ALICE.basic["Authorization"], upstream.url)
    assert ran.stdout.splitlines() == ["MISS 200", "HIT 200"]
    assert all(bearer(seen).count(".") == 2 for seen in upstream.seen)
    for command in (["/opt/gate/bin/credgate"], ["/opt/gate/bin/python", "-m", "credgate"]):
        arguments = ("check", "--config", "/tmp/gate.json", "--client-id", ALICE.id)
        assert "ok" in debian.run(*command, *arguments, CREDGATE_CLIENT_SECRET=ALICE.secret).stdout

    debian.run("/opt/gate/bin/pip", "uninstall", "--yes", "credgate")
    assert debian.changes(before) == {}
