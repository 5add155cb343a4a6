"""The lists of components are valid, complete, and free of paths of the builder's machine."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from support.process import ROOT, run
from support.sbom import ARTEFACTS, listed, main, mistakes

TARGETS = ("aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu")


@pytest.fixture(scope="session", params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def texts(target: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The lists by crate, as they are written."""
    out = tmp_path_factory.mktemp(target)
    assert main([target, str(out)]) == 0
    return {package: (out / f"{name}.cdx.json").read_text() for package, name in ARTEFACTS.items()}


@pytest.fixture(params=ARTEFACTS)
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def text(texts: dict[str, str], package: str) -> str:
    return texts[package]


@pytest.fixture
def sbom(text: str) -> Any:
    return json.loads(text)


def test_a_list_is_valid_cyclonedx(text: str) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_5)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"purl"', '"pull"', 1)) is not None


def test_a_list_holds_the_crates_of_cargo_tree_and_a_planted_mistake_is_found(
    sbom: Any, package: str, target: str
) -> None:
    assert list(mistakes(sbom, package, target)) == []
    assert len(listed(sbom, "required")) > 100
    tokio = next(part for part in sbom["components"] if part["name"] == "tokio")
    sbom["components"].remove(tokio)
    assert any(line.startswith(f"{package}: tokio v{tokio['version']} is missing") for line in mistakes(sbom, package, target))
    sbom["components"] += [tokio, {"name": "planted", "version": "1.0.0", "scope": "required"}]
    assert {line.split(" is ")[0] for line in mistakes(sbom, package, target)} == {f"{package}: planted v1.0.0"}


def test_every_crate_of_the_registry_has_the_hash_of_cargo_lock_and_a_licence(sbom: Any) -> None:
    lock = (ROOT / "Cargo.lock").read_text()
    for part in sbom["components"]:
        assert part["licenses"], part
        if not part["name"].startswith("credgate"):
            (sha256,) = part["hashes"]
            entry = f'name = "{part["name"]}"\nversion = "{part["version"]}"\n'
            assert f'checksum = "{sha256["content"]}"' in lock.split(entry)[1].split("[[package]]")[0], part


def test_projects_in_c_inside_of_crates_are_listed(sbom: Any) -> None:
    inside = {part["name"]: [carried["name"] for carried in part["components"]] for part in sbom["components"] if "components" in part}
    assert inside == {"aws-lc-sys": ["AWS-LC"], "libsqlite3-sys": ["SQLite"]}


def test_every_dependency_is_a_component(sbom: Any) -> None:
    known = {part["bom-ref"] for part in [sbom["metadata"]["component"], *sbom["components"]]}
    assert {entry["ref"] for entry in sbom["dependencies"]} == known
    assert {on for entry in sbom["dependencies"] for on in entry["dependsOn"]} < known


def test_a_list_names_no_path_and_no_registry(text: str) -> None:
    for path in (str(ROOT), str(Path.home()), "file:", "://"):
        assert path not in text, path


def test_no_file_is_left_beside_a_manifest(texts: dict[str, str]) -> None:
    assert texts
    assert "components-of-one-crate" not in run("git", "-C", ROOT, "status", "--short").stdout
