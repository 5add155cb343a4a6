"""The tables of the documentation are those that the tests run."""

from faults.document import DOCUMENT, expected


def test_documented_faults_are_the_tested_ones() -> None:
    text = DOCUMENT.read_text()
    assert expected(text) == text, "run: python -m faults document"
