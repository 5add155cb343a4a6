"""No compiled package holds a path of the machine that built it."""

import os
import re
import zipfile
from pathlib import Path

import pytest

from packages.conftest import package
from support.process import ROOT, run

COMPILED = (
    "libcredgate1_*.deb",
    "libcredgate-dev_*.deb",
    "libnginx-mod-http-credgate_*.deb",
    "*-manylinux*_x86_64.whl",
    "*-musllinux*_x86_64.whl",
    "*-manylinux*_aarch64.whl",
    "*-musllinux*_aarch64.whl",
)


def homes() -> list[str]:
    """The directories of the sources, the crates and the compilers."""
    home = Path.home()
    return [str(ROOT), os.environ.get("CARGO_HOME", f"{home}/.cargo"), os.environ.get("RUSTUP_HOME", f"{home}/.rustup")]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.package(name)) for name in COMPILED])
def test_package_holds_no_path_of_the_builder(name: str, tmp_path: Path) -> None:
    file = package(name)
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            wheel.extractall(tmp_path)
    else:
        run("dpkg-deb", "--extract", file, tmp_path)
    path = re.compile("|".join(f"{re.escape(home)}/[!-~]*" for home in homes()).encode())
    files = [found for found in tmp_path.rglob("*") if found.is_file() and not found.is_symlink()]
    assert any(found.suffix in {".so", ".a"} or ".so." in found.name for found in files)
    assert {found.name: sorted(set(path.findall(found.read_bytes())))[:5] for found in files if path.search(found.read_bytes())} == {}
