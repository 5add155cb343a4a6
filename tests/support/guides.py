"""The guides of core/guides: their blocks, and the names in them that stand for a provider and a client."""

import argparse
import json
import os
import re
import shlex
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import credgate
from credgate import _arguments

from support.examples import Block, Example, fenced
from support.http import SOURCES, Client, ask
from support.lab import Authority, Part, Upstream, bearer
from support.nginx import MODULE, Nginx
from support.openresty import guarded, start
from support.process import LAB, ROOT, free_port, run

GUIDES = ROOT / "core/guides"
# Entra ID issues a token to every application of the tenant, with a role of the API or without one.
WITHOUT_ROLE = Client("orders-without-role", "Zaunkoenig3Kd")


@dataclass(frozen=True)
class Guide:
    name: str

    @property
    def file(self) -> Path:
        return GUIDES / f"{self.name}.md"

    @property
    def text(self) -> str:
        return self.file.read_text()

    def blocks(self, language: str | None = None) -> list[Block]:
        """The blocks of a language; "" selects commands, None all blocks."""
        return [block for block in fenced(self.text) if language in (None, block.language)]

    def status(self, label: str) -> int | None:
        """The status that clients get, as the paragraph before a block says."""
        before = self.text.partition(f"```text {label}\n")[0]
        paragraph = before.rstrip().rpartition("\n\n")[2]
        found = re.search(r"[Cc]lients? gets? (\d{3})", paragraph.replace("\n", " "))
        return int(found[1]) if found else None

    def replace(self, label: str, text: str) -> None:
        """Writes the block of a label anew."""
        block = re.compile(rf"(^```text {re.escape(label)}\n).*?(^```$)", re.MULTILINE | re.DOTALL)
        self.file.write_text(block.sub(lambda found: f"{found[1]}{text}\n{found[2]}", self.text))


@dataclass(frozen=True)
class Case:
    """One run of the command of a guide: with these credentials, or with a part of its text replaced."""

    client: Client
    change: tuple[str, str] = ("", "")
    exit_status: int = 0


@dataclass(frozen=True)
class Place:
    """A provider on this machine. `written` is its issuer in a guide."""

    written: str
    issuer: str
    names: tuple[tuple[str, str], ...] = ()
    # The setting that a provider on loopback needs.
    setting: tuple[str, str] = ("", "")

    def nginx(self, text: str) -> str:
        name, value = self.setting
        shown = "on" if value == "true" else value
        return self.here(text).replace("credgate on;", f"credgate on; credgate_{name} {shown};")

    def lua(self, text: str) -> str:
        name, value = self.setting
        shown = value if value == "true" else f'"{value}"'
        return self.here(text).replace("issuer = ", f"{name} = {shown}, issuer = ", 1)

    def python(self, text: str) -> str:
        name, value = self.setting
        shown = "True" if value == "true" else f'"{value}"'
        return self.here(text).replace("issuer=", f"{name}={shown}, issuer=", 1)

    def here(self, text: str) -> str:
        """The text of a guide, with the names of this machine."""
        for written, meant in ((self.written, self.issuer), *self.names):
            text = text.replace(written, meant)
        return text

    def told(self, printed: str) -> str:
        """Printed text, with the names of the guide."""
        for written, meant in ((self.written, self.issuer), *self.names):
            printed = printed.replace(meant, written)
        return printed.replace(urlsplit(self.issuer).netloc, urlsplit(self.written).netloc)


def forwards(text: str, place: Place, directory: Path, upstream: Upstream, client: Client) -> None:
    """An nginx with this block forwards a token for the client's credentials in each place, and refuses a wrong secret."""
    example = Example(
        place.nginx(text),
        directory,
        {"http://127.0.0.1:8080": upstream.url},
        f"load_module {MODULE};",
    )
    with example.running() as port:
        for source in SOURCES:
            assert ask(port, **client.request(source)).status == 200, (directory / "error.log").read_text()
            assert bearer(upstream.last).startswith("eyJ")
        assert ask(port, headers=client.wrong().basic).status == 401


def forwards_in_lua(text: str, place: Place, nginx: Callable[..., Nginx], upstream: Upstream, client: Client) -> None:
    """The gate of this block forwards a token."""
    server = start(nginx, place.lua(text), guarded(upstream.url))
    assert ask(server.port, headers=client.basic).status == 200, server.errors
    assert bearer(upstream.last).startswith("eyJ")


def gets_a_token(text: str, place: Place, client: Client) -> None:
    """The gate of this block gets a token."""
    namespace: dict[str, Any] = {}
    exec(place.python(text), namespace)
    outcome = namespace["gate"].authenticate(authorization=client.basic["Authorization"])
    assert outcome.allowed, outcome
    assert outcome.access_token.startswith("eyJ")


def checks_as_shown(guide: Guide, label: str, place: Place, case: Case, shorten: Callable[[str], str] = str) -> None:
    """The command prints what the guide shows, and a gate responds to the client with the status that the guide names."""
    command = command_of(guide, place, case)
    shows(guide, label, shorten(place.told(checked(command, case))))
    status = denied(command, case.client) if case.exit_status else None
    assert guide.status(label) == status, f"{guide.file.name}, {label}: clients get {status}"


def denied(command: str, client: Client) -> int | None:
    """The status of a denial by a gate with the settings of a command; None if they are no gate's."""
    parser = argparse.ArgumentParser()
    _arguments.add_to(parser)
    settings = _arguments.read(parser.parse_known_args(shlex.split(command))[0])
    try:
        gate = credgate.Gate(settings)
    except credgate.ConfigError:
        return None
    return int(gate.authenticate(authorization=client.basic["Authorization"]).http_status)


def command_of(guide: Guide, place: Place, case: Case) -> str:
    """The command of a guide for a case, without the secret."""
    (command,) = (block.text for block in guide.blocks("") if "credgate check" in block.text)
    for written, meant in (case.change, ("CREDGATE_CLIENT_SECRET=CLIENT_SECRET ", ""), ("CLIENT_ID", case.client.id)):
        assert written in command
        command = command.replace(written, meant)
    return f"{place.here(command).strip()} --set {'='.join(place.setting)}"


def checked(command: str, case: Case) -> str:
    """The output of a command."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "CREDGATE_CLIENT_SECRET": case.client.secret, "COLUMNS": "100"}
    done = run("bash", "-c", command, env=env, check=False)
    assert done.returncode == case.exit_status, done.stdout + done.stderr
    assert case.client.traces(done.stdout) == []
    return done.stdout


def joined(printed: str) -> str:
    """Joins the lines of each finding."""
    return re.sub(r"\n {24}(?!To do:|The provider says:)", " ", printed)


def wrapped(printed: str) -> str:
    """Breaks lines anew, as the command would: the names of a guide are longer than those of this machine."""
    options: dict[str, Any] = {"subsequent_indent": " " * 24, "break_long_words": False, "break_on_hyphens": False}
    return "\n".join("\n".join(textwrap.wrap(line, 100, **options)) for line in joined(printed).split("\n"))


def normalized(printed: str) -> str:
    """Joins the lines of each finding, and masks durations and lifetimes."""
    text = re.sub(r"in \d+ ms", "in N ms", joined(printed))
    return re.sub(r"(valid for|caches it for) \d+", r"\1 N", text).strip()


def shows(guide: Guide, label: str, printed: str) -> None:
    """The guide shows this output, up to line breaks and times; `CREDGATE_UPDATE=1` writes it anew."""
    (block,) = (block for block in guide.blocks("text") if block.label == label)
    if "CREDGATE_UPDATE" in os.environ and normalized(block.text) != normalized(printed):
        guide.replace(label, wrapped(printed.strip()))
        (block,) = (block for block in guide.blocks("text") if block.label == label)
    assert normalized(block.text) == normalized(printed), f"{guide.file.name}, {label}: is it to be written anew (CREDGATE_UPDATE=1)?"


class Dialects(Part):
    """All dialects of lab/dialects.py."""

    def __init__(self, known: Sequence[Client], directory: Path, authority: Authority):
        self.tls = authority
        port = free_port()
        # Not beside the logs, which hold no secret.
        self._private = tempfile.TemporaryDirectory(prefix="credgate-lab-")
        clients = Path(self._private.name) / "clients.json"
        clients.write_text(json.dumps({client.id: client.secret for client in known}))
        # The public address of an issuer, which nothing on this machine reaches.
        self.public = f"127.0.0.1:{free_port()}"
        command = [sys.executable, LAB / "dialects.py", str(port), authority.cert, authority.key, clients, f"https://{self.public}/realms/r"]
        super().__init__(command, directory / "dialects.log", port=port)

    def place(self, written: str, path: str, *names: tuple[str, str]) -> Place:
        assert self.tls
        issuer = f"https://127.0.0.1:{self.port}{path}"
        return Place(written, issuer, names, ("ssl_trusted_certificate", str(self.tls.ca)))

    @property
    def places(self) -> dict[str, Place]:
        """The provider of each guide."""
        internal = "https://keycloak.internal.example.com:8443/realms/r"
        return {
            "auth0": self.place("https://tenant.auth0.com/", "/auth0/"),
            "okta": self.place("https://example.okta.com/oauth2/default", "/okta/oauth2/default"),
            "entra": self.place(
                "https://login.microsoftonline.com/TENANT_ID/v2.0",
                "/entra/v2.0",
                ("API_ID", "11111111-2222-3333-4444-555555555555"),
            ),
            "cognito": self.place(
                "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab1Cd2Ef3",
                "/cognito",
                ("example.auth.eu-central-1.amazoncognito.com", f"localhost:{self.port}"),
            ),
            "generic": self.place("https://idp.example.com", "/generic"),
            "internal-address": self.place(internal, "/internal/realms/r", ("id.example.com", self.public)),
        }
