"""The length of the README, and its picture."""

import re

from support.readme import README, TEXT


def test_readme_is_short() -> None:
    assert len(TEXT.splitlines()) < 250


def test_picture_is_self_contained_and_readable_on_dark_pages() -> None:
    (picture,) = re.findall(r"\]\((\.github/\S+\.svg)\)", TEXT)
    text = (README.parent / picture).read_text()
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"<script|href|url\((?!#)|@import|<image|<foreignObject|\bon\w+=", text)
