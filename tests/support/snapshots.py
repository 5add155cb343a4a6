"""Expected texts, kept as files that people read; `CREDGATE_UPDATE=1` regenerates them."""

import os
from pathlib import Path

TITLE = "=== "


class Snapshot:
    """A file of texts by title."""

    def __init__(self, file: Path):
        self.file = file

    def texts(self) -> dict[str, str]:
        parts = self.file.read_text().split(TITLE)[1:] if self.file.exists() else []
        pairs = (part.partition("\n") for part in parts)
        return {title: text.rstrip("\n") for title, _, text in pairs}

    def check(self, title: str, text: str) -> None:
        texts = self.texts()
        if "CREDGATE_UPDATE" in os.environ and texts.get(title) != text:
            texts[title] = text
            self.file.parent.mkdir(exist_ok=True)
            self.file.write_text("\n".join(f"{TITLE}{title}\n{text}\n" for title, text in texts.items()))
        assert self.texts().get(title) == text, f"{self.file.name} says otherwise; is it to be written anew (CREDGATE_UPDATE=1)?"
