"""The files of a crate as crates.io would get it."""

import re
import subprocess

import pytest
from support.process import ROOT


@pytest.mark.parametrize("crate", ["credgate-core", "credgate-ffi"])
def test_package_has_every_file_that_its_sources_include(crate: str) -> None:
    command = ["cargo", "package", "--list", "--allow-dirty", "--offline", "-p", crate]
    packaged = set(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split())
    directory = ROOT / crate.removeprefix("credgate-")
    missing = []
    for source in (directory / "src").rglob("*.rs"):
        if "testing" in source.parts:
            continue
        for included in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', source.read_text()):
            file = (source.parent / included).resolve().relative_to(directory)
            if str(file) not in packaged:
                missing.append(f"{source.name}: {file}")
    assert packaged
    assert not missing
