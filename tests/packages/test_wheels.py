"""The wheels: their tags, the package as pip installs it, and each wheel in a Python of its platform."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from packages.conftest import four_settings, package
from support.clean_debian import PACKAGES, WORK, CleanDebian
from support.lab import Authority, Provider, Upstream, bearer
from support.process import ROOT, run

GLIBC = "*-manylinux*_x86_64.whl"
MUSL = "*-musllinux*_x86_64.whl"
ARM_GLIBC = "*-manylinux*_aarch64.whl"
ARM_MUSL = "*-musllinux*_aarch64.whl"
POLICIES = {
    GLIBC: "manylinux_2_17_x86_64",
    MUSL: "musllinux_1_2_x86_64",
    ARM_GLIBC: "manylinux_2_17_aarch64",
    ARM_MUSL: "musllinux_1_2_aarch64",
}
QEMU = Path("/usr/bin/qemu-aarch64-static")
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

Forwards = Callable[..., None]


@pytest.fixture
def forwards(debian: CleanDebian, tls_provider: Provider, authority: Authority, upstream: Upstream) -> Forwards:
    """Asserts that a Python, a command inside the clean Debian, forwards a token with the package."""
    debian.trust(authority.ca)
    debian.path("/tmp/gate.json").write_text(json.dumps(four_settings(tls_provider)))
    debian.path("/tmp/program.py").write_text(PROGRAM)

    def check(*python: str, **environment: str) -> None:
        arguments = ("/tmp/program.py", ALICE.basic["Authorization"], upstream.url)
        assert debian.run(*python, *arguments, env=environment).splitlines() == ["MISS 200", "HIT 200"]
        assert all(bearer(seen).count(".") == 2 for seen in upstream.seen)
        assert tls_provider.count["by_client"] == {"alice": 1}

    return check


@pytest.mark.parametrize("wheel", [pytest.param(name, marks=pytest.mark.package(name)) for name in POLICIES])
def test_wheel_satisfies_the_policy_of_its_tag(wheel: str) -> None:
    # Without --ldpaths, it searches this machine for the libraries of the wheel's.
    shown = run(ROOT / "target/venv/bin/python", "-m", "auditwheel", "show", "--ldpaths=", package(wheel)).stdout
    assert f'"{POLICIES[wheel]}"' in re.sub(r"\s+", " ", shown), shown


def test_there_are_no_other_wheels() -> None:
    assert sorted(PACKAGES.glob("*.whl")) == sorted(package(name) for name in POLICIES)


@pytest.mark.package(GLIBC)
def test_pip_installs_the_wheel_without_a_compiler_and_leaves_nothing_when_uninstalled(
    debian: CleanDebian, tls_provider: Provider, forwards: Forwards
) -> None:
    debian.install("python3-venv")
    debian.run("python3", "-m", "venv", "/opt/gate")
    debian.run("/opt/gate/bin/pip", "list")
    before = debian.files()

    debian.run("/opt/gate/bin/pip", "install", "--no-index", *debian.copy(package(GLIBC)))
    forwards("/opt/gate/bin/python")
    for command in (["/opt/gate/bin/credgate"], ["/opt/gate/bin/python", "-m", "credgate"]):
        arguments = ("check", "--config", "/tmp/gate.json", "--client-id", ALICE.id)
        checked = debian.run(*command, *arguments, env={"CREDGATE_CLIENT_SECRET": ALICE.secret})
        assert tls_provider.issuer in checked

    debian.run("/opt/gate/bin/pip", "uninstall", "--yes", "credgate")
    assert debian.changes(before) == {}


@pytest.mark.package(MUSL)
def test_pip_of_a_python_for_musl_installs_the_wheel(debian: CleanDebian, forwards: Forwards) -> None:
    debian.install("musl")
    shutil.copytree(WORK / "python-x86_64/opt/python", debian.path("/opt/python"), symlinks=True)
    python = "/opt/python/bin/python3"
    debian.run(python, "-m", "ensurepip")
    debian.run(python, "-m", "pip", "install", "--no-index", *debian.copy(package(MUSL)))
    forwards(python)


@pytest.mark.package(ARM_GLIBC)
def test_wheel_works_on_aarch64(debian: CleanDebian, forwards: Forwards) -> None:
    foreign = emulated(debian, "python3", "libc6")
    forwards("/qemu", "-L", foreign, f"{foreign}/usr/bin/python3", PYTHONPATH=unpacked(debian, ARM_GLIBC))


@pytest.mark.package(ARM_MUSL)
def test_wheel_works_on_aarch64_with_musl(debian: CleanDebian, forwards: Forwards) -> None:
    foreign = emulated(debian, "musl")
    python = f"{foreign}/opt/python"
    shutil.copytree(WORK / "python-aarch64/opt/python", debian.path(python), symlinks=True)
    environment = {"PYTHONPATH": unpacked(debian, ARM_MUSL), "PYTHONHOME": python}
    forwards("/qemu", "-L", foreign, f"{python}/bin/python3", **environment)


def unpacked(debian: CleanDebian, wheel: str) -> str:
    """The directory of the unpacked wheel. Its modules are all that an installation needs."""
    with zipfile.ZipFile(package(wheel)) as archive:
        archive.extractall(debian.path("/wheel"))
    return "/wheel"


def emulated(debian: CleanDebian, *names: str) -> str:
    """The directory of arm64 packages and those that they depend on, unpacked for /qemu."""
    shutil.copy(QEMU, debian.path("/qemu"))
    debian.shell(f"""
        dpkg --add-architecture arm64
        apt-get -qq update
        mkdir -p /downloads/partial /arm64
        apt-get -qq -y --no-install-recommends -o Dir::Cache::Archives=/downloads --download-only install \
            {" ".join(f"{name}:arm64" for name in names)}
        for file in /downloads/*_arm64.deb; do dpkg-deb --extract "$file" /arm64; done
    """)
    return "/arm64"
