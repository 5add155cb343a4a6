"""What ffi/lua/README.md says is so, and what it is packed with."""

import re
import shutil
import subprocess
from pathlib import Path

from conftest import ALICE
from support.examples import Example, blocks
from support.http import SOURCES, ask
from support.lab import Authority, Provider, Upstream, bearer
from support.openresty import LOAD
from support.process import ROOT

LUA = ROOT / "ffi/lua"
README = (LUA / "README.md").read_text()


def test_the_synopsis_works(tmp_path: Path, tls_provider: Provider, upstream: Upstream, authority: Authority) -> None:
    (synopsis,) = blocks("nginx", README)
    here: dict[str, object] = {
        "/path/to/credgate": ROOT,
        'issuer = "https://tenant.auth0.com': f'ssl_trusted_certificate = "{authority.ca}", issuer = "{tls_provider.issuer}',
        "http://127.0.0.1:8080": upstream.url,
    }
    with Example(synopsis, tmp_path, here, LOAD).running() as port:
        for source in SOURCES:
            assert ask(port, **ALICE.request(source)).status == 200
            assert bearer(upstream.last)
        upstream.reset()
        assert ask(port, headers=ALICE.wrong().basic).status == 401
        assert not upstream.last


def test_every_method_is_documented() -> None:
    functions = {
        f"{owner}{name}"
        for owner, file in (("gate:", "credgate/gate.lua"), ("credgate.", "credgate.lua"), ("outcome:", "credgate/outcome.lua"))
        for name in re.findall(r"^function _M\.(\w+)", (LUA / "lib/resty" / file).read_text(), re.MULTILINE)
    }  # fmt: skip
    inner = {"gate:new", "gate:close", "outcome:new"}
    assert [name for name in functions - inner if f"{name}" not in README] == []


def test_the_rock_holds_every_file_and_all_say_the_same_version(tmp_path: Path) -> None:
    tree = tmp_path / "lua"
    shutil.copytree(LUA, tree)
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert version
    assert f"version = {version[1]}\n" in (LUA / "dist.ini").read_text()
    command = ["luarocks", "--lua-version", "5.1", "make", "--deps-mode", "none", "--tree", tmp_path / "rocks"]
    made = subprocess.run(
        [*command, f"lua-resty-credgate-{version[1]}-1.rockspec"], cwd=tree, capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stdout + made.stderr
    installed = {path.relative_to(tmp_path / "rocks/share/lua/5.1") for path in tmp_path.glob("rocks/share/**/*.lua")}
    assert installed == {path.relative_to(LUA / "lib") for path in LUA.glob("lib/**/*.lua")}
