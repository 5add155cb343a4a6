"""Type stubs and docstrings."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import credgate
import pytest
from credgate import _credgate

from support import settings

RIGHT = """
    import asyncio
    from collections.abc import Coroutine
    from pathlib import Path
    from typing import Any

    import aiohttp
    import credgate
    import credgate.aiohttp
    import credgate.asgi
    import credgate.httpx
    import credgate.httpx2
    import credgate.proxy
    import credgate.requests
    import httpx
    import httpx2
    import requests

    gate = credgate.Gate(issuer="https://idp.example", scopes=["read"], token_endpoint_auth_method="client_secret_post")
    known: credgate.Settings = {"issuer": "https://idp.example", "timeout": 500}
    other = credgate.Gate(known)

    def headers(outcome: credgate.Allow | credgate.Deny) -> dict[str, str]:
        if outcome.allowed:
            return {name: value for name, value in outcome.headers if value is not None}
        return dict(outcome.headers) | {"status": str(outcome.http_status)}

    async def main() -> None:
        token = await gate.token_async("id", "secret", {"audience": "x"})
        text: str = token.authorization + token.access_token + token.client_id
        outcome = await asyncio.create_task(gate.authenticate_async(query=b"x=1"))
        headers(outcome)
        later: Coroutine[Any, Any, credgate.Token] = gate.token_async("id", "secret")
        await asyncio.wait_for(later, 1)
        print(text)

    def sessions() -> None:
        httpx.Client(auth=credgate.httpx.Auth(gate, "id", "secret"))
        httpx2.AsyncClient(auth=credgate.httpx2.Auth(gate, "id", "secret", hosts=["api.example"]))
        requests.Session().auth = credgate.requests.Auth(gate, "id", "secret")
        aiohttp.ClientSession(middlewares=[credgate.aiohttp.Auth(gate, "id", "secret", hosts=["api.example"])])
        credgate.asgi.Middleware(credgate.proxy.create_app(gate, "https://api.example"), gate)

    credgate.configure(max_waiting=5, store="sqlite:/run/credgate/tokens.db", store_pepper_file=Path("pepper"))
    credgate.Gate(issuer="https://idp.example", introspection_client_secret_file=Path("s"), token_headers_files={"X": Path("k")})
    query: str = gate.hide_query("a=b")
    body: bytes = gate.hide_body("application/json", bytearray(b"{}"))
"""

WRONG = [
    'credgate.Gate(isuer="https://idp.example")',
    'credgate.Gate(issuer="https://idp.example", timeout="1")',
    'credgate.Gate(issuer="https://idp.example", auth_methods=["password"])',
    'credgate.Gate({"issuer": "https://idp.example"}, timeout=1)',
    'gate.authenticate("GET")',
    "gate.authenticate(body=5)",
    'gate.token("id")',
    "gate.authenticate().http_status",
    "gate.authenticate().code",
    "gate.authenticate().authorization",
    'gate.token("id", "secret").authorization.nonsense',
    'gate.hide_query("a").decode()',
    "credgate.Gate.Queue",
    "credgate.configure(5)",
    "credgate.configure(max_waitin=5)",
    'credgate.aiohttp.Auth(gate, "id", "secret")',
    "credgate.proxy.create_app(gate)",
]


def mypy(directory: Path, text: str) -> list[str]:
    """The numbers of the lines with an error."""
    file = directory / "example.py"
    file.write_text(dedent(text))
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", directory / "cache", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not done.stderr
    return [line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line]


def test_mypy_accepts_valid_uses(tmp_path: Path) -> None:
    assert mypy(tmp_path, RIGHT) == []


def test_mypy_rejects_invalid_uses(tmp_path: Path) -> None:
    head = 'import credgate, credgate.aiohttp, credgate.proxy\ngate = credgate.Gate(issuer="https://idp.example")\n'
    lines = mypy(tmp_path, head + "\n".join(WRONG))
    missed = [line for number, line in enumerate(WRONG, 3) if str(number) not in lines]
    assert missed == []


def test_the_settings_match_the_schema() -> None:
    assert settings.WRITTEN.read_text() == settings.generate(), "run `tests/run.sh header --update`"
    made = credgate.Gate(issuer="https://idp.example")
    assert len(made.config) > 40
    assert set(made.config) <= set(credgate.Settings.__annotations__)


def documented() -> Iterator[tuple[str, str | None, Any]]:
    """The documented names of the stub, with the docstring there and the object in the extension."""

    def within(nodes: list[ast.stmt], place: str, owner: Any) -> Iterator[tuple[str, str | None, Any]]:
        for node in nodes:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                found = getattr(owner, node.name)
                if doc := ast.get_docstring(node):
                    yield f"{place}{node.name}", doc, found
                if isinstance(node, ast.ClassDef):
                    yield from within(node.body, f"{node.name}.", found)

    stub = Path(credgate.__file__).with_name("_credgate.pyi").read_text()
    return within(ast.parse(stub).body, "", _credgate)


def test_the_docstrings_of_stub_and_extension_match() -> None:
    entries = list(documented())
    assert len(entries) > 40
    differences = [name for name, doc, found in entries if inspect.cleandoc(found.__doc__ or "") != doc]
    assert differences == []


@pytest.mark.parametrize("name", credgate.__all__)
def test_every_public_name_has_a_docstring(name: str) -> None:
    public = getattr(credgate, name)
    assert public.__doc__
    if isinstance(public, type):
        own = {key: member for cls in public.__mro__ if cls.__module__.startswith("credgate") for key, member in vars(cls).items()}
        described = {key for key, member in own.items() if inspect.isroutine(member) or inspect.isdatadescriptor(member)}
        assert [key for key in described if not key.startswith("_") and not inspect.getdoc(getattr(public, key))] == []


def test_the_engine_options_are_those_of_the_core() -> None:
    with pytest.raises(credgate.ConfigError) as raised:
        credgate.configure(nonsense=1)  # type: ignore[call-arg]
    named = str(raised.value).partition("the fields are ")[2].split(", ")
    assert sorted(named) == sorted(credgate.EngineOptions.__annotations__)
