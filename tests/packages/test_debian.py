"""The Debian packages of the library and the nginx module: install, use, purge."""

import json
import re
from collections.abc import Callable

import pytest

from conftest import ALICE
from packages.conftest import four_settings, lintian_errors, nginx_site, package
from support.clean_debian import PACKAGES, CleanDebian
from support.lab import Authority, Provider, Upstream
from support.process import ROOT, free_port, run, until

LIBRARY = "libcredgate1_*.deb"
DEVELOPMENT = "libcredgate-dev_*.deb"
MODULE = "libnginx-mod-http-credgate_*.deb"
LUA = "lua-resty-credgate_*.deb"
ALL = (LIBRARY, DEVELOPMENT, MODULE, LUA)
ENABLED = "/etc/nginx/modules-enabled/50-mod-http-credgate.conf"
SITE = "/etc/nginx/conf.d/gate.conf"


def field(name: str, key: str) -> str:
    return run("dpkg-deb", "--field", package(name), key).stdout.strip()


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.package(name)) for name in ALL])
def test_package_has_no_lintian_error(name: str) -> None:
    assert lintian_errors(package(name)) == []


def test_there_are_no_other_packages() -> None:
    assert sorted(PACKAGES.glob("*.deb")) == sorted(package(name) for name in ALL)


@pytest.mark.package(MODULE)
def test_module_depends_on_the_abi_of_nginx_and_on_the_library() -> None:
    depends = field(MODULE, "Depends")
    assert re.search(r"\bnginx-abi-[0-9.]+-\d+\b", depends), depends
    assert f"libcredgate1 (>= {field(LIBRARY, 'Version').partition('-')[0]}" in depends


@pytest.mark.package(LIBRARY, MODULE)
def test_module_is_enabled_on_install_and_leaves_nothing_when_purged(
    debian: CleanDebian,
    tls_provider: Provider,
    authority: Authority,
    upstream: Upstream,
    forwards: Callable[[int], None],
) -> None:
    debian.install("nginx")
    debian.path("/etc/nginx/sites-enabled/default").unlink()
    debian.trust(authority.ca)
    before = debian.files()

    debian.install(package(LIBRARY), package(MODULE))
    assert debian.path(ENABLED).is_symlink()
    port = free_port()
    debian.path(SITE).write_text(nginx_site(port, tls_provider, upstream))
    with debian.service("nginx", "-g", "daemon off;", port=port).start():
        forwards(port)
    assert debian.path("/var/lib/nginx/credgate/tokens.db").exists()

    debian.path(SITE).unlink()
    debian.purge("libnginx-mod-http-credgate", "libcredgate1")
    debian.run("nginx", "-t")
    assert debian.changes(before) == {}


@pytest.mark.package(MODULE)
def test_removed_module_is_enabled_again_with_its_tokens(debian: CleanDebian) -> None:
    debian.install(package(LIBRARY), package(MODULE))
    kept = debian.path("/var/lib/nginx/credgate/tokens.db")
    kept.parent.mkdir(parents=True)
    kept.touch()
    debian.remove("libnginx-mod-http-credgate")
    assert not debian.path(ENABLED).is_symlink()
    debian.run("nginx", "-t")

    debian.install(package(MODULE))
    assert debian.path(ENABLED).is_symlink()
    assert kept.exists()


# dpkg replaces the files of the same version, too.
@pytest.mark.parametrize(
    "upgraded",
    [
        pytest.param((LIBRARY, MODULE), marks=pytest.mark.package(LIBRARY, MODULE)),
        pytest.param((LIBRARY,), marks=pytest.mark.package(LIBRARY)),
    ],
)
def test_nginx_runs_with_the_new_library_after_an_upgrade(debian: CleanDebian, upgraded: tuple[str, ...]) -> None:
    debian.install("nginx", package(LIBRARY), package(MODULE))
    debian.path("/etc/nginx/sites-enabled/default").unlink()
    debian.path("/usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 0\n")
    debian.run("service", "nginx", "start")
    try:
        old = master(debian)
        debian.run("dpkg", "--install", *debian.copy(*(package(name) for name in upgraded)))
        until(lambda: not debian.path(f"/proc/{old}").exists(), "the end of the old nginx")
        mapped = debian.path(f"/proc/{master(debian)}/maps").read_text().splitlines()
        ours = [line for line in mapped if "credgate" in line.rpartition("/")[2]]
        assert ours and [line for line in ours if line.endswith("(deleted)")] == []

        debian.path(SITE).write_text("mistake;")
        debian.run("dpkg", "--install", *debian.copy(package(LIBRARY)))
        assert debian.path(f"/proc/{master(debian)}").exists(), "a mistake in the configuration stops no nginx"
    finally:
        debian.path(SITE).unlink(missing_ok=True)
        debian.run("service", "nginx", "stop")


def master(debian: CleanDebian) -> int:
    return int(debian.path("/run/nginx.pid").read_text())


@pytest.mark.package(MODULE)
def test_limits_and_monitoring_are_in_the_package(debian: CleanDebian) -> None:
    debian.install(package(LIBRARY), package(MODULE))
    documents = debian.path("/usr/share/doc/libnginx-mod-http-credgate")
    assert list(documents.glob("LIMITS.md*"))
    for file in (ROOT / "ffi/nginx/monitoring").iterdir():
        assert (documents / "examples" / file.name).exists()


@pytest.mark.package(LIBRARY, DEVELOPMENT)
def test_c_program_builds_against_the_shared_and_the_static_library(
    debian: CleanDebian, tls_provider: Provider, authority: Authority
) -> None:
    debian.install("gcc", "libc6-dev", "pkg-config")
    debian.trust(authority.ca)
    before = debian.files()

    debian.install(package(LIBRARY), package(DEVELOPMENT))
    assert list(debian.path("/usr/share/doc/libcredgate-dev").glob("CONFIGURATION.md*"))
    debian.path("/tmp/gate.json").write_text(json.dumps(four_settings(tls_provider)))
    debian.shell("""
        cp /usr/share/doc/libcredgate-dev/examples/poll_loop.c /tmp
        cd /tmp
        cc -Werror poll_loop.c $(pkg-config --cflags --libs credgate) -o shared
        cc -Werror poll_loop.c $(pkg-config --cflags credgate) -l:libcredgate.a \
            $(pkg-config --static --libs credgate | sed 's/-lcredgate//') -o static
    """)
    assert "libcredgate.so.1" in debian.shell("ldd /tmp/shared")
    assert "libcredgate" not in debian.shell("ldd /tmp/static")
    for program in ("/tmp/shared", "/tmp/static"):
        assert "MISS" in debian.run(program, "/tmp/gate.json", "GET", ALICE.basic["Authorization"])
    assert tls_provider.count["by_client"] == {"alice": 2}

    debian.purge("libcredgate-dev", "libcredgate1")
    assert debian.changes(before) == {}
