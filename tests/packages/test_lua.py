"""resty.credgate as a Debian package and as a rock, and the rocks of the plugins."""

from collections.abc import Callable
from pathlib import Path

import pytest

from packages.conftest import four_settings, package
from support.clean_debian import CleanDebian
from support.lab import Authority, Provider, Upstream
from support.openresty import lua
from support.process import ROOT, free_port

LIBRARY = "libcredgate1_*.deb"
DEBIAN = "lua-resty-credgate_*.deb"
ROCK = "lua-resty-credgate-*.rock"
KONG = "kong-plugin-credgate-*.rock"
APISIX = "apisix-plugin-credgate-*.rock"
SOURCES = ROOT / "ffi/lua/lib"
SITE = "/etc/nginx/conf.d/gate.conf"


@pytest.fixture
def site(tls_provider: Provider, upstream: Upstream) -> Callable[[int], str]:
    """The site of the documentation, without the paths of a source tree."""
    return lambda port: f"""\
init_by_lua_block {{
    gate = assert(require("resty.credgate").new({lua(four_settings(tls_provider))}))
    by_variable = {{ variable = "gate_authorization" }}
}}

server {{
    listen 127.0.0.1:{port};
    location / {{
        set $gate_authorization "";
        access_by_lua_block {{
            local client_id, cache_status = gate:access(by_variable)
            ngx.header["X-Credgate-Status"] = cache_status
        }}
        proxy_set_header Authorization $gate_authorization;
        proxy_pass {upstream.url};
    }}
}}
"""


def served(debian: CleanDebian, site: Callable[[int], str], forwards: Callable[[int], None]) -> None:
    """Runs the site in nginx, and removes it."""
    port = free_port()
    debian.path(SITE).write_text(site(port))
    with debian.service("nginx", "-g", "daemon off;", port=port).start():
        forwards(port)
    debian.path(SITE).unlink()


@pytest.mark.package(LIBRARY, DEBIAN)
def test_debian_package_works_without_paths_and_leaves_nothing_when_purged(
    debian: CleanDebian, authority: Authority, site: Callable[[int], str], forwards: Callable[[int], None]
) -> None:
    debian.install("nginx", "libnginx-mod-http-lua", "lua-cjson")
    debian.path("/etc/nginx/sites-enabled/default").unlink()
    debian.trust(authority.ca)
    before = debian.files()

    debian.install(package(LIBRARY), package(DEBIAN))
    served(debian, site, forwards)

    debian.purge("lua-resty-credgate", "libcredgate1")
    assert debian.changes(before) == {}


@pytest.mark.package(LIBRARY, ROCK)
def test_rock_works_and_leaves_nothing_when_removed(
    debian: CleanDebian, authority: Authority, site: Callable[[int], str], forwards: Callable[[int], None]
) -> None:
    debian.install("nginx", "libnginx-mod-http-lua", "lua-cjson", "luarocks", package(LIBRARY))
    debian.path("/etc/nginx/sites-enabled/default").unlink()
    debian.trust(authority.ca)
    installed(debian, package(ROCK))
    debian.run("luarocks", "remove", "lua-resty-credgate")
    before = debian.files()

    installed(debian, package(ROCK))
    served(debian, site, forwards)

    debian.run("luarocks", "remove", "lua-resty-credgate")
    assert debian.changes(before) == {}


@pytest.mark.parametrize(
    ("rock", "plugins"),
    [
        pytest.param(KONG, "kong/plugins", marks=pytest.mark.package(KONG)),
        pytest.param(APISIX, "apisix/plugins", marks=pytest.mark.package(APISIX)),
    ],
)
def test_rock_of_a_plugin_installs_its_modules_and_removes_them(debian: CleanDebian, rock: str, plugins: str) -> None:
    debian.install("luarocks")
    installed(debian, package(rock))
    share = debian.path("/usr/local/share/lua/5.1")
    assert modules(share, share) == modules(SOURCES, SOURCES / plugins)
    debian.run("luarocks", "remove", package(rock).name.partition("-0")[0])
    assert modules(share, share) == set()


def modules(root: Path, below: Path) -> set[Path]:
    """The Lua files in a directory, relative to `root`."""
    return {file.relative_to(root) for file in below.rglob("*.lua")}


def installed(debian: CleanDebian, rock: Path) -> None:
    """Installs a rock without those that it depends on, which come as Debian packages."""
    debian.run("luarocks", "install", "--deps-mode", "none", *debian.copy(rock))
