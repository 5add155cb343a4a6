"""Every package has the version of the workspace, and the library's file has the version of its ABI."""

import re
import tomllib
from typing import Any

from support.process import ROOT


def manifest(path: str) -> Any:
    return tomllib.loads((ROOT / path).read_text())


VERSION = manifest("Cargo.toml")["workspace"]["package"]["version"]


def test_rocks_have_the_version_of_the_workspace() -> None:
    specs = sorted((ROOT / "ffi/lua").glob("*.rockspec"))
    assert len(specs) == 3
    for spec in specs:
        text = spec.read_text()
        (name,) = re.findall(r'^package = "(.+)"$', text, re.MULTILINE)
        assert f'version = "{VERSION}-1"' in text
        assert spec.name == f"{name}-{VERSION}-1.rockspec"
        assert set(re.findall(r'"lua-resty-credgate == (.+)"', text)) <= {VERSION}
    assert f"\nversion = {VERSION}\n" in (ROOT / "ffi/lua/dist.ini").read_text()


def test_debian_packages_have_the_version_of_the_workspace() -> None:
    newest = (ROOT / "ffi/debian/changelog").read_text().partition("\n")[0]
    assert newest.startswith(f"credgate ({VERSION}-")


def test_shared_library_has_the_version_of_its_abi() -> None:
    header = (ROOT / "include/credgate.h").read_text()
    (abi,) = re.findall(r"^#define CREDGATE_ABI_VERSION (\d+)$", header, re.MULTILINE)
    library = manifest("ffi/Cargo.toml")["package"]["metadata"]["capi"]["library"]
    assert library["version"].partition(".")[0] == abi
    assert f"\nPackage: libcredgate{abi}\n" in (ROOT / "ffi/debian/control").read_text()
