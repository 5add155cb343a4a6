"""`ffi/install.sh`: a C program and the nginx module build against the installed library."""

import os
import shutil
from pathlib import Path

import pytest

from conftest import ALICE
from support import nginx
from support.examples import blocks
from support.http import ask
from support.lab import Provider, Upstream
from support.process import ROOT, run

PROGRAM = """
#include <credgate.h>
#include <stdio.h>
int main(void) { return credgate_abi_version() == CREDGATE_ABI_VERSION && puts(credgate_version()) >= 0 ? 0 : 1; }
"""
INSTALL = ROOT / "ffi/install.sh"
HIDDEN = ("CREDGATE_LIB", "CREDGATE_RPATH", "CREDGATE_OUT")


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which pkg-config finds an installation."""
    run(INSTALL, tmp_path / "prefix")
    kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    return {**kept, "PKG_CONFIG_PATH": f"{tmp_path}/prefix/lib/pkgconfig"}


def test_program_builds_with_pkg_config(tmp_path: Path, installed: dict[str, str]) -> None:
    (tmp_path / "program.c").write_text(PROGRAM)
    flags = run("pkg-config", "--cflags", "--libs", "credgate", env=installed).stdout.split()
    run("gcc", "-Werror", tmp_path / "program.c", *flags, "-o", tmp_path / "program")
    ran = run(tmp_path / "program", env={"LD_LIBRARY_PATH": f"{tmp_path}/prefix/lib"})
    assert ran.stdout == run("pkg-config", "--modversion", "credgate", env=installed).stdout


def test_module_builds_with_pkg_config(
    tmp_path: Path,
    installed: dict[str, str],
    provider: Provider,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A path that nginx's own scripts could mistake for names of source files.
    tree = tmp_path / "my.code.Sources"
    shutil.copytree(ROOT / "ffi/nginx", tree / "ffi/nginx")
    built = Path(run(tree / "ffi/nginx/build.sh", env=installed).stdout.strip())
    assert f"{tmp_path}/prefix/lib/libcredgate.so.1" in run("ldd", built).stdout
    monkeypatch.setattr(nginx, "MODULE", built)
    with nginx.Nginx(tmp_path / "nginx", nginx.guarded(upstream.url, provider.issuer)) as server:
        assert ask(server.port, **ALICE.request("header")).status == 200


def test_module_build_without_a_library_names_the_build_command(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ffi/nginx", tmp_path / "ffi/nginx")
    kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    ran = run(tmp_path / "ffi/nginx/build.sh", env={**kept, "PKG_CONFIG_LIBDIR": str(tmp_path)}, check=False)
    assert ran.returncode != 0
    assert "libcredgate.so is missing" in ran.stderr
    assert "cargo build --release -p credgate-ffi" in ran.stderr


def test_package_is_installed_below_destdir_and_keeps_its_prefix(tmp_path: Path) -> None:
    env = {**os.environ, "DESTDIR": str(tmp_path), "LIBDIR": "/usr/lib/x86_64-linux-gnu"}
    run(INSTALL, "/usr", env=env)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()}
    lib = "usr/lib/x86_64-linux-gnu"
    assert files == {
        "usr/include/credgate.h",
        f"{lib}/libcredgate.so",
        f"{lib}/libcredgate.so.1",
        f"{lib}/libcredgate.so.1.0.0",
        f"{lib}/pkgconfig/credgate.pc",
    }
    assert str(tmp_path) not in (tmp_path / lib / "pkgconfig/credgate.pc").read_text()


def test_commands_of_the_readme_remove_all_of_it(tmp_path: Path) -> None:
    run(INSTALL, tmp_path)
    (tmp_path / "lib/libcredgate.a").touch()  # of cargo cinstall
    (tmp_path / "lib/other.so").touch()
    (commands,) = (text for text in blocks("", (ROOT / "ffi/README.md").read_text()) if "rm " in text)
    removal, update = commands.splitlines()
    assert update == "sudo ldconfig"
    run("sh", "-c", removal.removeprefix("sudo ").replace("/usr/local", str(tmp_path)))
    assert [path.name for path in tmp_path.rglob("*") if not path.is_dir()] == ["other.so"]


def test_relative_prefix_is_an_error(tmp_path: Path) -> None:
    ran = run(INSTALL, "relative", check=False)
    assert ran.returncode != 0
    assert "usage" in ran.stderr
