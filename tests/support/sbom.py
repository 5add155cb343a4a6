"""Lists the components of the library and of the wheel, as CycloneDX.

    python -m support.sbom TARGET DIRECTORY

Writes DIRECTORY/libcredgate.cdx.json and DIRECTORY/credgate.cdx.json for that target and the default features, from the
output of cargo-cyclonedx, without the parts that differ from machine to machine (paths, a random number, the time of day),
and without crates that no enabled feature uses, which cargo-cyclonedx lists too. Ends with 1 if a list differs from the one
of `cargo tree`.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.process import ROOT

# The crate of each artefact, and the artefact's name.
ARTEFACTS = {"credgate-ffi": "libcredgate", "credgate-python": "credgate"}
KEPT = ("type", "name", "version", "scope", "hashes", "licenses", "purl")
# Two crates carry a project in C, which has versions and advisories of its own: the file that states its version.
CARRIED = {
    "aws-lc-sys": ("AWS-LC", "aws-lc/include/openssl/base.h", "AWSLC_VERSION_NUMBER_STRING", "pkg:github/aws/aws-lc@v{}"),
    "libsqlite3-sys": ("SQLite", "sqlite3/sqlite3.h", "SQLITE_VERSION", "pkg:generic/sqlite@{}"),
}


def cargo(*arguments: str) -> str:
    command = ["cargo", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def raw_lists(target: str) -> dict[str, Any]:
    """The lists of cargo-cyclonedx by crate, which it writes beside each manifest."""
    name = "components-of-one-crate"
    files = {package: ROOT / directory / f"{name}.json" for package, directory in members().items()}
    try:
        cargo("cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--target", target, "--override-filename", name)
        return {package: json.loads(file.read_text()) for package, file in files.items() if package in ARTEFACTS}
    finally:
        for file in files.values():
            file.unlink(missing_ok=True)


def members() -> dict[str, Path]:
    """The directories of the workspace's crates."""
    packages = json.loads(cargo("metadata", "--locked", "--no-deps", "--format-version", "1"))["packages"]
    return {package["name"]: Path(package["manifest_path"]).parent.relative_to(ROOT) for package in packages}


def sources(target: str) -> dict[str, Path]:
    """The directories of all crates."""
    metadata = cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target)
    return {package["name"]: Path(package["manifest_path"]).parent for package in json.loads(metadata)["packages"]}


def normalized(raw: dict[str, Any], name: str, built: set[str], directories: dict[str, Path]) -> dict[str, Any]:
    """The list of the crates in `built` alone, without paths of this machine, in a stable order, with the projects that a
    crate carries inside of it."""
    root, parts = raw["metadata"]["component"], [part for part in raw["components"] if crate(part) in built]
    references = {part["bom-ref"]: reference(part) for part in [root, *parts]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": raw["specVersion"],
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC).isoformat(),
            "tools": raw["metadata"]["tools"],
            "component": {**component(root, directories), "name": name},
            "properties": raw["metadata"]["properties"],
        },
        "components": sorted((component(part, directories) for part in parts), key=reference),
        "dependencies": sorted(
            (
                {
                    "ref": references[entry["ref"]],
                    "dependsOn": sorted(references[on] for on in entry.get("dependsOn", []) if on in references),
                }
                for entry in raw["dependencies"]
                if entry["ref"] in references
            ),
            key=lambda entry: str(entry["ref"]),
        ),
    }


def crate(part: dict[str, Any]) -> str:
    """Name and version, as `cargo tree` prints them."""
    return f"{part['name']} v{part['version']}"


def reference(part: dict[str, Any]) -> str:
    """The package URL without the path of a crate of this workspace."""
    return str(part["purl"]).split("?")[0]


def component(part: dict[str, Any], directories: dict[str, Path]) -> dict[str, Any]:
    kept = {"bom-ref": reference(part), **{key: part[key] for key in KEPT if key in part}, "purl": reference(part)}
    if part["name"] in CARRIED:
        kept["components"] = [carried(part["name"], directories[part["name"]])]
    return kept


def carried(name_of_crate: str, directory: Path) -> dict[str, Any]:
    name, header, macro, purl = CARRIED[name_of_crate]
    found = re.search(rf'^#define {macro} +"([0-9.]+)"', (directory / header).read_text(), re.MULTILINE)
    assert found, f"{header} of {name_of_crate} has no {macro}"
    return {"type": "library", "name": name, "version": found[1], "purl": purl.format(found[1])}


def listed(sbom: dict[str, Any], *scopes: str) -> set[str]:
    return {crate(part) for part in sbom["components"] if part["scope"] in scopes}


def in_tree(package: str, target: str, edges: str) -> set[str]:
    """The crates that `cargo tree` lists below a package."""
    options = ["--locked", "--target", target, "--edges", edges, "--prefix", "none", "--format", "{p}"]
    names = {" ".join(line.split()[:2]) for line in cargo("tree", "--package", package, *options).splitlines()}
    return {name for name in names if not name.startswith(f"{package} ")}


def mistakes(sbom: dict[str, Any], package: str, target: str) -> Iterator[str]:
    """The differences from `cargo tree`: of the crates in the artefact, and of all that take part in its build."""
    for edges, scopes in (("normal", ("required",)), ("normal,build", ("required", "excluded"))):
        ours, theirs = listed(sbom, *scopes), in_tree(package, target, edges)
        yield from (f"{package}: {name} is not in cargo tree --edges {edges}" for name in sorted(ours - theirs))
        yield from (f"{package}: {name} is missing, of cargo tree --edges {edges}" for name in sorted(theirs - ours))


def main(arguments: list[str]) -> int:
    target, out = arguments[0], Path(arguments[1])
    out.mkdir(parents=True, exist_ok=True)
    directories, found = sources(target), []
    for package, raw in raw_lists(target).items():
        sbom = normalized(raw, ARTEFACTS[package], in_tree(package, target, "normal,build"), directories)
        file = out / f"{ARTEFACTS[package]}.cdx.json"
        file.write_text(json.dumps(sbom, indent=1, ensure_ascii=False) + "\n")
        found += mistakes(sbom, package, target)
        print(f"{len(listed(sbom, 'required'))} components, and {len(listed(sbom, 'excluded'))} of the build alone: {file}")
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
