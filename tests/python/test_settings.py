"""`python -m credgate settings`."""

import credgate
import pytest
from credgate.__main__ import main

from support.examples import fenced
from support.process import ROOT


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")


@pytest.mark.parametrize("columns", ["40", "100"])
def test_every_setting_is_printed(columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["settings"]) == 0
    printed = capsys.readouterr().out
    names = [line.split()[0] for line in printed.splitlines() if not line.startswith(" ")]
    assert names == [field["name"] for field in credgate.config_fields() if "remedy" not in field]
    flat = " ".join(printed.split())
    for field in credgate.config_fields():
        assert "remedy" in field or " ".join(field["description"].split()) in flat, field["name"]


def test_one_setting_is_printed_as_in_the_manual(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    (shown,) = [block.text for block in fenced((ROOT / "python/README.md").read_text()) if block.label == "settings"]
    assert main(["settings", "timeout"]) == 0
    assert " ".join(capsys.readouterr().out.split()) == " ".join(shown.split())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("basic_encoding", 'basic_encoding "raw" | "form", default "raw"'),
        ("auth_methods", 'array of "client_credentials" | "bearer" | "introspection", default ["client_credentials"]'),
        ("upstream_headers", "array of record of header (string), path (array of string), default []"),
        ("token_headers_files", "map of string, default {}"),
        ("login_action", "Only Kong has this field: it applies to browser logins; remove it."),
    ],
)
def test_the_type_and_the_default_of_a_setting_are_printed(name: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", name]) == 0
    assert kind in " ".join(capsys.readouterr().out.split())


def test_an_unknown_setting_suggests_a_similar_one(capsys: pytest.CaptureFixture[str]) -> None:
    for name, message in (("isuer", "unknown setting isuer; did you mean issuer?\n"), ("zzzzzz", "unknown setting zzzzzz\n")):
        with pytest.raises(SystemExit) as left:
            main(["settings", name])
        assert left.value.code == 2
        assert capsys.readouterr().err.endswith(message)
