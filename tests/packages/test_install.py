"""`cargo cinstall`, from which the Debian packages are made, and `ffi/install.sh` install the same files."""

import os
from pathlib import Path

import pytest

from support.clean_debian import WORK
from support.process import ROOT, run

# Debian's rules install there before they divide the files into packages.
CINSTALL = WORK / "source/credgate/debian/tmp"
LIBDIR = "/usr/lib/x86_64-linux-gnu"
STATIC = f"{LIBDIR}/libcredgate.a"


def tree(directory: Path) -> dict[str, str]:
    """The files below a directory, and the targets of links."""
    return {
        f"/{path.relative_to(directory)}": os.readlink(path) if path.is_symlink() else "file"
        for path in directory.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The files of install.sh, with the library that cargo-c has built."""
    env = {**os.environ, "DESTDIR": str(tmp_path), "LIBDIR": LIBDIR, "CREDGATE_LIB": f"{CINSTALL}{LIBDIR}"}
    run(ROOT / "ffi/install.sh", "/usr", env=env)
    return tmp_path


def test_install_script_and_cinstall_install_the_same_files(installed: Path) -> None:
    files = tree(CINSTALL)
    assert files.pop(STATIC) == "file"
    # Debian's rules build the module there.
    assert files.pop("/ngx_http_credgate_module.so") == "file"
    assert tree(installed) == files


@pytest.mark.parametrize("flag", ["--cflags", "--libs", "--modversion"])
def test_install_script_and_cinstall_agree_about_pkg_config(installed: Path, flag: str) -> None:
    def asked(root: Path) -> str:
        env = {"PATH": os.environ["PATH"], "PKG_CONFIG_LIBDIR": f"{root}{LIBDIR}/pkgconfig"}
        # pkg-config leaves directories out that compilers search anyway.
        return run("pkg-config", "--define-variable=prefix=/opt/credgate", flag, "credgate", env=env).stdout

    assert asked(installed) == asked(CINSTALL)


def test_soname_is_the_version_of_the_abi() -> None:
    header = (ROOT / "include/credgate.h").read_text()
    dynamic = run("objdump", "-p", f"{CINSTALL}{LIBDIR}/libcredgate.so").stdout
    assert "SONAME               libcredgate.so.1\n" in dynamic
    assert "#define CREDGATE_ABI_VERSION 1\n" in header
