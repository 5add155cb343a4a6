"""The examples of the documentation, run as a reader would run them."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from support.nginx import BINARY
from support.process import Service, free_port


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level = heading.count("#")
    (text,) = re.findall(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", page, re.MULTILINE | re.DOTALL)
    return str(text)


@dataclass(frozen=True)
class Block:
    """A fenced block. `label`: the word after the language, which names the case or the file that the block shows."""

    language: str
    label: str
    text: str


def fenced(page: str) -> list[Block]:
    """All fenced blocks of a page."""
    found = re.findall(r"^ *```(\S*)(?: (\S+))?\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    return [Block(language, label, dedent(text)) for language, label, text in found]


def blocks(language: str, page: str) -> list[str]:
    """The fenced blocks of a language without a label; "" selects fences without a language."""
    return [block.text for block in fenced(page) if block.language == language and not block.label]


class Example:
    """An nginx configuration, with its names replaced by the parts of this machine. `modules` are loaded if it loads none."""

    def __init__(self, text: str, directory: Path, here: dict[str, object], modules: str):
        self.directory = directory
        self.ports = []
        for written, meant in here.items():
            assert written in text
            text = text.replace(written, str(meant))
        for listen in re.findall(r"^ *listen .*", text, re.MULTILINE):
            self.ports.append(free_port())
            text = text.replace(listen, re.sub(r"(127\.0\.0\.1:)?\d+(?=[ ;])", f"127.0.0.1:{self.ports[-1]}", listen))
        (directory / "logs").mkdir(exist_ok=True)  # the log of an nginx in its own prefix
        self.conf = directory / "nginx.conf"
        module = "" if "load_module" in text else modules
        blocks = text if "http {" in text else f"http {{\n{text}\n}}"
        # The tokens are stored beside it.
        blocks = blocks.replace("http {", f"http {{\nclient_body_temp_path {directory}/body;", 1)
        self.conf.write_text(f"{module}\n{blocks}\nevents {{}}\npid {directory}/pid;\ndaemon off;\nuser root;\n")

    @contextmanager
    def running(self) -> Iterator[int]:
        """The port of the first server."""
        command = [BINARY, "-p", self.directory, "-e", self.directory / "error.log", "-c", self.conf]
        server = Service(command, self.directory / "stderr.log", port=self.ports[0])
        try:
            yield server.start().port
        finally:
            server.stop(signal.SIGQUIT)
