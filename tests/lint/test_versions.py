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


def test_plugin_of_kong_has_the_version_of_the_workspace() -> None:
    handler = (ROOT / "ffi/lua/lib/kong/plugins/credgate/handler.lua").read_text()
    assert re.findall(r'VERSION = "(.+)"', handler) == [VERSION]


def test_crates_depend_on_each_other_in_the_version_of_the_workspace() -> None:
    own = {name: crate for name, crate in manifest("Cargo.toml")["workspace"]["dependencies"].items() if "path" in crate}
    assert {name: crate["version"] for name, crate in own.items()} == {"credgate-core": VERSION}


def test_changelog_begins_with_the_version_of_the_workspace() -> None:
    newest = re.findall(r"^## (.+) - (?:Unreleased|\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert newest == VERSION


def test_security_policy_supports_the_version_of_the_workspace() -> None:
    series = VERSION.rpartition(".")[0]
    assert f"\n| {series}.x | yes |\n" in (ROOT / ".github/SECURITY.md").read_text()


def test_documentation_names_rockspecs_that_exist() -> None:
    named = {name for page in (ROOT / "ffi/lua").glob("*.md") for name in re.findall(r"[\w.-]+\.rockspec", page.read_text())}
    assert named
    assert [name for name in sorted(named) if not (ROOT / "ffi/lua" / name).exists()] == []


def test_debian_packages_have_the_version_of_the_workspace() -> None:
    newest = (ROOT / "ffi/debian/changelog").read_text().partition("\n")[0]
    assert newest.startswith(f"credgate ({VERSION}-")


def test_shared_library_has_the_version_of_its_abi() -> None:
    header = (ROOT / "include/credgate.h").read_text()
    (abi,) = re.findall(r"^#define CREDGATE_ABI_VERSION (\d+)$", header, re.MULTILINE)
    library = manifest("ffi/Cargo.toml")["package"]["metadata"]["capi"]["library"]
    assert library["version"].partition(".")[0] == abi
    assert f"\nPackage: libcredgate{abi}\n" in (ROOT / "ffi/debian/control").read_text()
