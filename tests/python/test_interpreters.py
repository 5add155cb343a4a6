"""The package in every Python of the machine: one extension module works from 3.10 on, and 3.9 builds its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import credgate
import pytest

from support.lab import Scripted
from support.process import ROOT

PROGRAM = r"""
import asyncio, os, sys, threading
import credgate

gate = credgate.Gate(issuer=sys.argv[1], allow_loopback_http=True)
pair = {"query": "client_id=a&client_secret=b"}
assert [gate.authenticate(**pair).cache_status for _ in range(2)] == ["MISS", "HIT"]
assert gate.token("a", "b").authorization == "Bearer token-of-a"
assert gate.authenticate(method=b"POST", content_type="application/json", body=bytearray(b"{}")).http_status == 401
assert gate.hide_query("x=\u00e4&client_id=a\ud800") == "x=\u00e4"


async def main():
    tasks = [asyncio.create_task(gate.token_async("c%d" % (number % 5), "s")) for number in range(50)]
    tasks[0].cancel()
    tokens = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(getattr(token, "access_token", "")) for token in tokens[1:3]] == ["token-of-c1", "token-of-c2"]
    assert (await asyncio.wait_for(asyncio.shield(gate.authenticate_async(**pair)), 30)).cache_status == "HIT"
    try:
        await gate.token_async("a", "wrong")
    except credgate.DeniedError as error:
        assert (error.cause, error.http_status, error.retry_after) == ("credentials_refused", 401, None)
    else:
        raise AssertionError


asyncio.run(main())
asyncio.run(main())
child = os.fork()
if child == 0:
    os._exit(0 if gate.authenticate(**pair).cache_status == "MISS" else 1)
assert os.waitpid(child, 0)[1] == 0
assert "credgate_requests_total" in credgate.metrics() and credgate.report()["exchanges"] > 5
gate.purge()
credgate.close()
credgate.configure(max_waiting=10)
assert gate.authenticate(**pair).cache_status == "MISS"
try:
    credgate.Gate(isuer="x")
except credgate.ConfigError as error:
    assert "issuer" in str(error)
threading.Thread(target=lambda: gate.token("z", "s"), daemon=True).start()
print("%d.%d" % sys.version_info[:2])
"""


OLDEST = "python3.9"


def interpreters() -> dict[str, Path]:
    """The interpreters on the path and those of pyenv, by version."""
    found = {}
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(9, 16):
        name = f"python3.{minor}"
        places = [*versions.glob(f"3.{minor}.*/bin/{name}"), *filter(None, [shutil.which(name)])]
        found.update({name: Path(place) for place in places[:1]})
    return {f"python3.{sys.version_info[1]}": Path(sys.executable), **found}


@pytest.mark.parametrize("name", sorted(interpreters().keys() - {OLDEST}))
def test_one_extension_module_works_in_every_python(scripted: Scripted, tmp_path: Path, name: str) -> None:
    package = Path(credgate.__file__).parent
    assert (package / "_credgate.abi3.so").exists()
    shutil.copytree(package, tmp_path / "credgate")
    check(scripted, tmp_path, name)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(interpreters().keys() & {OLDEST}))
def test_the_oldest_python_builds_an_extension_module_of_its_own(scripted: Scripted, tmp_path: Path, name: str) -> None:
    command = [interpreters()[name], "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path, ROOT / "python"]
    subprocess.run(command, check=True, timeout=800)
    assert [path.name for path in tmp_path.glob("credgate/_credgate.*.so")] != ["_credgate.abi3.so"]
    check(scripted, tmp_path, name)


def check(scripted: Scripted, tmp_path: Path, name: str) -> None:
    """Runs PROGRAM in an interpreter, with the package of a directory."""
    command = [interpreters()[name], "-I", "-X", "dev", "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"]
    command[-1] = str(command[-1]) + dedent(PROGRAM)
    done = subprocess.run([*command, scripted.issuer], capture_output=True, text=True, timeout=120)
    errors = [line for line in done.stderr.splitlines() if "allow_loopback_http is true" not in line]
    assert (done.returncode, done.stdout, errors) == (0, f"{name.removeprefix('python')}\n", [])
