"""Blocks of settings with a name, and locations that use them by that name or by a variable."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.http import SOURCES, ask
from support.lab import Scripted, Upstream, bearer, values_of
from support.nginx import STATUS, Nginx, location
from support.process import ROOT

Start = Callable[..., Nginx]

ISSUER = "https://idp.example"


def block(name: str, *directives: str) -> str:
    """A block in http{}; directives come without their semicolon."""
    lines = "".join(f"    {directive};\n" for directive in directives)
    return f"credgate_provider {name} {{\n{lines}}}\n"


def local(scripted: Scripted, audience: str, *more: str) -> list[str]:
    """The directives of a block for the scripted provider; the audience tells which block a request got."""
    return [f"issuer {scripted.issuer}", "allow_loopback_http on", f"audience {audience}", *more]


def using(provider: str, upstream: Upstream, *more: str, path: str = "/") -> str:
    return location(path, "credgate on", f"credgate_provider {provider}", STATUS, *more, f"proxy_pass {upstream.url}")


def audience(scripted: Scripted) -> object:
    return scripted.state["last"]["form"].get("audience")


def checked(directory: Path, http: str, server: str) -> tuple[int, list[str]]:
    """The exit status of `nginx -t`, and its error lines without the time and the directory."""
    nginx = Nginx(directory / "checked", server, http=http)
    done = nginx.check()
    lines = [line for line in done.stderr.splitlines() if "[emerg]" in line]
    return done.returncode, [re.sub(r".*\[emerg\] (?:\d+#\d+: )?(.*?)(?: in \S+)?$", r"\1", line) for line in lines]


# Inheritance


def test_a_block_and_flat_directives_with_the_same_settings_share_tokens(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    flat = [f"credgate_{directive}" for directive in local(scripted, "a")]
    server = nginx(
        using("main", upstream, path="/block/")
        + using("main", upstream, path="/twice/")
        + location("/flat/", "credgate on", *flat, STATUS, f"proxy_pass {upstream.url}"),
        http=block("main", *local(scripted, "a")),
    )
    statuses = [ask(server.port, path, headers=ALICE.basic) for path in ("/block/", "/twice/", "/flat/")]
    assert [answer.header("X-Credgate-Status") for answer in statuses] == ["MISS", "HIT", "HIT"]
    assert scripted.state["token"] == 1


def test_a_location_overrides_its_provider_which_overrides_outer_levels(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(
        "credgate_audience server; credgate_token_post_arg level server;"
        + using("main", upstream, path="/block/")
        + using("main", upstream, "credgate_audience location", path="/location/")
        + using("bare", upstream, path="/bare/"),
        http="credgate_token_post_arg level http;"
        + f"credgate_issuer {scripted.issuer}; credgate_allow_loopback_http on;"
        + block("main", "audience block")
        + block("bare", "scopes s"),
    )
    for path, expected in {"/block/": "block", "/location/": "location", "/bare/": "server"}.items():
        assert ask(server.port, path, headers=ALICE.basic).status == 200
        assert audience(scripted) == expected
        assert scripted.state["last"]["form"]["level"] == "server"


def test_an_inner_provider_replaces_the_outer_one_as_a_whole(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(
        "credgate on; credgate_provider outer; credgate_token_post_arg level server;"
        + location("/", f"proxy_pass {upstream.url}")
        + location("/inner/", "credgate_provider inner", f"proxy_pass {upstream.url}")
        + location("/own/", "credgate_audience own", f"proxy_pass {upstream.url}"),
        http=block("outer", *local(scripted, "outer", "scopes s", "token_header x-outer 1"))
        + block("inner", *local(scripted, "inner")),
    )
    seen = {}
    for path in ("/", "/inner/", "/own/"):
        assert ask(server.port, path, headers=ALICE.basic).status == 200
        last = scripted.state["last"]
        seen[path] = (last["form"]["audience"], last["form"]["scope"], last["form"]["level"])
    assert seen == {
        "/": ("outer", "s", "server"),
        "/inner/": ("inner", "openid", "server"),
        "/own/": ("own", "s", "server"),
    }


def test_a_block_takes_a_file_and_includes_others(
    nginx: Start, scripted: Scripted, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "part.conf").write_text("".join(f"{directive};\n" for directive in local(scripted, "included")))
    (tmp_path / "gate.json").write_text(
        f'{{"issuer": "{scripted.issuer}", "allow_loopback_http": true, "audience": "file"}}'
    )
    server = nginx(
        using("file", upstream, path="/file/") + using("included", upstream, path="/included/"),
        http=block("file", f"config {tmp_path}/gate.json") + block("included", f"include {tmp_path}/part.conf"),
    )
    for name in ("file", "included"):
        assert ask(server.port, f"/{name}/", headers=ALICE.basic).status == 200
        assert audience(scripted) == name


def test_optional_applies_to_the_location_not_to_the_block(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    optional = ["credgate optional", "credgate_provider main", f"proxy_pass {upstream.url}"]
    server = nginx(
        location("/optional/", *optional) + using("main", upstream, path="/on/"),
        http=block("main", *local(scripted, "a")),
    )
    assert ask(server.port, "/optional/").status == 200
    assert ask(server.port, "/on/").status == 401


# Variables

TENANTS = """
map $http_x_tenant $tenant {
    "~^(?<name>red|blue)$"  $name;
    sly     "red ";
    odd     'ro"d\\x41\\n';
    default "";
}
"""


@pytest.fixture
def tenants(nginx: Start, scripted: Scripted, upstream: Upstream) -> Nginx:
    """Two blocks of which a header selects one, and an error page that an upstream writes."""
    variable = "token_post_arg colour $name"
    return nginx(
        using("$tenant", upstream, "error_page 500 @page")
        + using("$tenant", upstream, "add_header X-Cause $credgate_cause always", path="/plain/")
        + location("@page", f"proxy_pass {upstream.url}"),
        http=TENANTS + block("red", *local(scripted, "r", variable)) + block("blue", *local(scripted, "b", "scopes s")),
    )


def test_a_variable_selects_the_provider_of_a_request(tenants: Nginx, scripted: Scripted, upstream: Upstream) -> None:
    for tenant, expected in {"red": "r", "blue": "b"}.items():
        for status in ("MISS", "HIT"):
            answer = ask(tenants.port, headers=ALICE.basic | {"X-Tenant": tenant})
            assert (answer.status, answer.header("X-Credgate-Status")) == (200, status)
        assert bearer(upstream.last)
        form = scripted.state["last"]["form"]
        assert (form["audience"], form.get("colour")) == (expected, "red" if tenant == "red" else None)
    assert scripted.state["token"] == 2


@pytest.mark.parametrize("tenant", ["", "green", "sly", "RED", "odd"])
@pytest.mark.parametrize("source", SOURCES)
def test_an_unknown_provider_is_denied_and_forwards_nothing(
    tenants: Nginx, scripted: Scripted, upstream: Upstream, source: str, tenant: str
) -> None:
    for path in ("/plain/", "/"):
        request = ALICE.request(source, path)
        request["headers"] = {**request.get("headers", {}), "X-Tenant": tenant}
        answer = ask(tenants.port, **request)
        assert answer.status == 500
        assert answer.header("X-Cause") == ("internal" if path == "/plain/" else None)
    assert [seen["line"].split()[1].split("?")[0] for seen in upstream.seen] == ["/"]
    assert ALICE.secret not in str(upstream.seen)
    assert not values_of(upstream.last, "authorization")
    assert scripted.state["token"] == 0
    value = {"sly": "red%20", "odd": "ro%22d%5Cx41%0A"}.get(tenant, "")
    assert '[error]' in tenants.errors and f'"$tenant" names no provider: "{value}"' in tenants.errors
    assert ALICE.secret.encode() not in tenants.logs


def test_a_provider_selected_by_the_query_survives_the_removal_of_credentials(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(
        using("$arg_client_id", upstream),
        http=block("alice", *local(scripted, "a")) + block("bob", *local(scripted, "b")),
    )
    answer = ask(server.port, **ALICE.request("query"))
    assert answer.status == 200, server.errors
    assert audience(scripted) == "a"
    assert "client_id" not in upstream.last["line"]


def test_a_provider_that_is_unknown_after_a_redirect_denies_an_allowed_request(
    nginx: Start, scripted: Scripted, upstream: Upstream
) -> None:
    server = nginx(
        "credgate on; credgate_provider $choice;"
        + location("/", "set $choice red", "try_files /nowhere @next")
        + location("@next", "set $choice $arg_next", f"proxy_pass {upstream.url}"),
        http=block("red", *local(scripted, "r")) + block("blue", *local(scripted, "b")),
    )
    for choice, status in {"red": 200, "blue": 200, "green": 500, "": 500}.items():
        assert ask(server.port, f"/?next={choice}", headers=ALICE.basic).status == status
    assert len(upstream.seen) == 2


# Mistakes


def test_a_block_takes_every_setting_without_its_prefix(tmp_path: Path) -> None:
    from test_directives import FILES, OWN_CLIENT, ROWS, line

    rows = [(name, kind) for name, _, kind, _ in ROWS if name not in FILES | OWN_CLIENT]
    lines = [line(name, kind).removeprefix("credgate_") for name, kind in rows]
    status, errors = checked(tmp_path, block("all", *lines), location("/", "credgate on", "credgate_provider all"))
    assert status == 0, errors


@pytest.mark.parametrize(
    ("directives", "says"),
    [
        (["isuer x"], 'unknown directive "isuer" in a "credgate_provider" block, did you mean "issuer"?'),
        (["credgate_issuer x"], 'unknown directive "credgate_issuer" in a "credgate_provider" block, did you mean "issuer"?'),
        (["proxy_pass x"], 'unknown directive "proxy_pass" in a "credgate_provider" block'),
        (["max_waiting 1"], '"max_waiting" directive is not allowed here'),
        (["issuer a b"], 'invalid number of arguments in "issuer" directive'),
        (["upstream_header a"], 'invalid number of arguments in "upstream_header" directive'),
        (["scopes"], 'invalid number of arguments in "scopes" directive'),
        (["issuer a", "issuer b"], '"issuer" directive is duplicate'),
        (["leeway 5ms"], 'invalid value "5ms" in "leeway" directive, it must be a time in whole seconds, such as "5s" or "1m"'),
        (["timeout 0"], 'credgate: "timeout" directive must be at least 1 (milliseconds)'),
        (["cache_ttl 0"], 'credgate: "cache_ttl" directive must be at least 1 (seconds); to disable caching, set "cache_tokens" to "off"'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("used", [True, False], ids=["used", "unused"])
def test_a_mistake_in_a_block_stops_nginx(tmp_path: Path, directives: list[str], says: str, used: bool) -> None:
    issuer = [] if "issuer" in directives[0] else [f"issuer {ISSUER}"]
    server = location("/", "credgate on", "credgate_provider main") if used else ""
    status, errors = checked(tmp_path, block("main", *issuer, *directives), server)
    assert status != 0
    assert errors == [says]


@pytest.mark.parametrize(
    ("http", "directive", "says"),
    [
        ("", "credgate_provider main", 'credgate: unknown provider "main"'),
        (block("main", f"issuer {ISSUER}"), "credgate_provider mian", 'credgate: unknown provider "mian", did you mean "main"?'),
        (block("main", f"issuer {ISSUER}"), "credgate_provider ''", 'credgate: unknown provider ""'),
        ("", "credgate_provider $host", 'credgate: there is no "credgate_provider" block for "$host"'),
        (block("main", f"issuer {ISSUER}"), "credgate_provider main; credgate_provider main", '"credgate_provider" directive is duplicate'),
        (block("main") + block("main"), "credgate_provider main", 'duplicate provider "main"'),
        (block("$main"), "credgate_provider main", 'invalid provider name "$main"'),
        (block("main"), "credgate_provider main", 'credgate: no "credgate_issuer" or "credgate_config" is defined for the "credgate" directive'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["on", "off"])
def test_an_unknown_or_duplicate_provider_stops_nginx(
    tmp_path: Path, http: str, directive: str, says: str, mode: str
) -> None:
    if mode == "off" and "is defined for" in says:
        http = http.replace("{", "{ scopes a;")
        says = 'credgate: "credgate_issuer" directive is missing; set it to the provider\'s issuer, or to its well-known URL'
    status, errors = checked(tmp_path, http, location("/", f"credgate {mode}", directive))
    assert status != 0
    assert errors == [says]


def test_a_block_with_a_file_does_not_mix_with_directives(tmp_path: Path) -> None:
    file = tmp_path / "gate.json"
    file.write_text(f'{{"issuer": "{ISSUER}"}}')
    server = location("/", "credgate on", "credgate_provider main", "credgate_scopes a")
    status, (error,) = checked(tmp_path, block("main", f"config {file}"), server)
    assert status != 0
    assert error.startswith('credgate: "credgate_scopes" in ') and 'cannot be combined with "credgate_config" in' in error


def test_the_block_is_for_http_and_the_name_for_servers_and_locations(tmp_path: Path) -> None:
    table = (ROOT / "ffi/nginx/ngx_http_credgate_module.c").read_text()
    assert table.count('ngx_string("credgate_provider")') == 2
    assert checked(tmp_path, "credgate_provider main;", "")[1] == ['directive "credgate_provider" has no opening "{"']
    (error,) = checked(tmp_path, "", block("main"))[1]
    assert "credgate_provider" in error
