"""The examples of the documentation, run as a reader would run them."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

from support.nginx import BINARY
from support.process import Service, free_port


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level = heading.count("#")
    (text,) = re.findall(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", page, re.MULTILINE | re.DOTALL)
    return str(text)


def blocks(language: str, text: str) -> list[str]:
    """The fenced blocks of a language; "" selects fences without a language."""
    fenced = re.findall(r"^ *```(\S*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [dedent(block) for named, block in fenced if named == language]


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
