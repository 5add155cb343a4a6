"""`python -m credgate migrate`: input, output and messages."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import credgate
import pytest

from support.deck import deck, plugin, route, service
from support.kong import VERSIONS, export, refusals

SECRET = "Kanarie7Qz"


def migrate(text: str, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "credgate", "migrate", *arguments, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The losses, without the closing line."""
    return [line for line in done.stderr.splitlines() if not line.startswith("note: ")][:-1]


def test_guide_needs_no_change() -> None:
    done = migrate(deck(service(plugins=[plugin()])))
    assert done.stderr == ""
    assert done.stdout == """\
server {
    listen 8000 default_server;
    server_name _;

    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host;
    proxy_set_header X-Forwarded-Port $server_port;

    location / {
        credgate on;
        credgate_issuer https://idp.example;
        credgate_token_post_arg audience https://example.com/;
        credgate_auth_methods client_credentials;
        proxy_pass http://127.0.0.1:9000;
    }
}

"""


def test_json_is_the_configuration_of_each_gate() -> None:
    done = migrate(deck(service(plugins=[plugin()])), "--format", "json")
    (gate,) = json.loads(done.stdout)
    assert gate["where"] == "service example, plugin openid-connect"
    assert credgate.Gate(gate["config"]).config["token_post_args_names"] == ["audience"]


@pytest.mark.parametrize("version", VERSIONS)
def test_answer_of_the_admin_api_becomes_directives(version: str) -> None:
    done = migrate(json.dumps(export(version)))
    assert "credgate on;\ncredgate_issuer https://example.auth0.com/" in done.stdout
    assert done.stdout.startswith("# For the location of service b7f8d1d2-")
    assert "credgate_scopes " not in done.stdout, "Kong's default is no choice of the operator"
    is_old = version != "3.15"
    assert ("note: " in done.stderr and "ssl_verify: false, Kong's default before 3.14" in done.stderr) == is_old
    assert ("credgate_ssl_verify off;" in done.stdout) == is_old


def test_answer_with_several_plugins_becomes_directives() -> None:
    plugins = {"data": [export("3.9"), export("3.15", issuer="https://other.example")], "next": None}
    written = migrate(json.dumps(plugins)).stdout
    assert written.count("credgate on;") == 2
    assert "credgate_issuer https://other.example;" in written


def test_every_setting_that_cannot_be_carried_is_named() -> None:
    rows = list(refusals())
    text = deck(service(plugins=[plugin(**{name: value for name, value, _ in rows})]))
    lines = said(migrate(text, status=6))
    where = "service example, plugin openid-connect"
    assert sorted(lines) == sorted(f"{where}: {name}: {sentence}" for name, _, sentence in rows)


TWENTY: dict[str, Any] = {
    "session_secret": "x", "login_action": "redirect", "redirect_uri": ["https://a.example"], "consumer_claim": ["sub"],
    "authenticated_groups_claim": ["groups"], "cache_ttl_min": 5, "bearer_token_param_type": ["cookie"],
    "downstream_headers_claims": ["sub"], "userinfo_accept": "application/jwt", "enable_hs_signatures": True,
}  # fmt: skip
OTHERS = [{"name": name, "config": {}} for name in ("acl", "cors", "rate-limiting", "ip-restriction")]


def a_file_with_twenty_losses() -> str:
    config = plugin(
        **TWENTY, client_id="mine", token_headers_names=["X-Key"], token_headers_values=["{vault://env/key}"]
    )
    narrow = route("api", "/api", headers={"X-Version": ["1"]}, snis=["a.example"], protocols=["https"])
    return deck(service("http://127.0.0.1:9000", narrow, plugins=[config, *OTHERS]), consumers=[{"username": "a"}])


def test_twenty_losses_are_twenty_lines_and_nothing_is_written() -> None:
    done = migrate(a_file_with_twenty_losses(), status=6)
    assert done.stdout == ""
    lines = said(done)
    named = sorted(tuple(line.split(": ")[:2]) for line in lines)
    gate = "service example, plugin openid-connect"
    assert named == sorted([
        *((gate, name) for name in (*TWENTY, "client_id", "token_headers_values")),
        *(("service example", f"plugin {other['name']}") for other in OTHERS),
        ("route api", "headers"), ("route api", "snis"), ("route api", "protocols"), ("global", "consumers"),
    ])  # fmt: skip
    assert len(named) == 20
    assert all(len(line.split(": ", 2)[2]) > 15 for line in lines), "each has a reason"
    assert done.stderr.splitlines()[-1].startswith(f"{len(lines)} settings are not carried, and nothing is written")


def test_partial_closes_the_locations_that_lost_something() -> None:
    done = migrate(a_file_with_twenty_losses(), "--partial", status=6)
    assert "        return 503;  # Remove it after you have replaced: headers, snis, protocols," in done.stdout
    assert "credgate_issuer https://idp.example;" in done.stdout


def test_partial_leaves_other_locations_open() -> None:
    narrow = route("narrow", "/narrow", snis=["a.example"])
    written = migrate(
        deck(service("http://127.0.0.1:9000", narrow, route("open", "/open"), plugins=[plugin()])), "--partial", status=6
    ).stdout
    assert written.count("return 503;") == 1
    assert "location /narrow {\n        return 503;" in written


@pytest.mark.parametrize(
    ("levels", "issuer"),
    [
        (("global",), "global"),
        (("global", "service"), "service"),
        (("global", "service", "route"), "route"),
        (("service", "route"), "route"),
    ],
)
def test_narrowest_plugin_counts(levels: tuple[str, ...], issuer: str) -> None:
    made = {level: [plugin(f"https://{level}.example")] for level in levels}
    only = route(plugins=made.get("route", []))
    text = deck(service("http://a.example", only, plugins=made.get("service", [])), plugins=made.get("global", []))
    written = migrate(text).stdout
    assert written.count("credgate on;") == 1
    assert f"credgate_issuer https://{issuer}.example;" in written


def test_plugins_beside_the_services_name_theirs() -> None:
    routes = {"name": "late", "paths": ["/late"], "service": {"name": "example"}}
    text = deck(
        service("http://a.example", route("early", "/early")),
        routes=[routes],
        plugins=[plugin("https://late.example") | {"route": "late"}, plugin("https://all.example") | {"service": "example"}],
    )
    written = migrate(text).stdout
    early, late = written.split("location /late")
    assert "credgate_issuer https://all.example;" in early
    assert "credgate_issuer https://late.example;" in late


def test_disabled_plugin_is_ignored() -> None:
    done = migrate(deck(service(plugins=[plugin(), {"name": "acl", "enabled": False, "config": {}}])))
    assert done.stderr == ""


def test_shared_configuration_of_plugins_is_used() -> None:
    short = {"name": "openid-connect", "_config": "idp", "config": {"timeout": 500}}
    written = migrate(deck(service(plugins=[short]), _plugin_configs={"idp": plugin()["config"]})).stdout
    assert "credgate_token_post_arg audience https://example.com/;" in written
    assert "credgate_timeout 500ms;" in written


def test_value_with_a_dollar_sign_is_not_carried_to_nginx() -> None:
    config = plugin(token_headers_names=["X-Key"], token_headers_values=[f"${SECRET}"])
    done = migrate(deck(service(plugins=[config])), status=6)
    assert "token_headers_values: a value with $ would be a variable of nginx" in done.stderr
    assert SECRET not in done.stderr


def test_values_are_quoted_for_nginx() -> None:
    config = plugin(unauthorized_error_message='No "token"; sorry \\', scopes=["a", "b"])
    written = migrate(deck(service(plugins=[config]))).stdout
    assert 'credgate_unauthorized_error_message "No \\"token\\"; sorry \\\\";' in written
    assert "credgate_scopes a b;" in written


def test_no_secret_is_on_standard_error() -> None:
    config = plugin(
        token_headers_names=["X-Key"], token_headers_values=[SECRET], session_secret=SECRET, client_secret=SECRET,
        scopes=[f'"{SECRET}'], redis={"password": SECRET},
    )  # fmt: skip
    done = migrate(deck(service(plugins=[config])), "--partial", status=6)
    assert SECRET not in done.stderr
    assert "note: service example, plugin openid-connect: token_headers_values: may be a secret" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be an object"),
        ("[]", "must be an object"),
        ("a: [", "is not YAML (line 1, column 5)"),
        ("a: 1\na: 2", 'has "a" twice in one object'),
        ('{"a": 1, "a": 2}', 'has "a" twice in one object'),
        ('{"a": ', "is not JSON"),
        ("services: 5", "services: must be a list of objects"),
        ("services: [5]", "services: must be a list of objects"),
        ("services: [{name: a, url: 'http://[::1'}]", "service a: its url is invalid"),
        ("services: [{name: a, url: '/x'}]", "service a: its url is invalid"),
        ("services: [{name: a, plugins: [{config: {}}]}]", "a plugin has no name"),
        ("services: [{name: a, plugins: [{name: x, config: 5}]}]", "plugin x: config: must be an object"),
        ("services: [{name: a, url: 5}]", "service a: url: must be a string"),
        ("services: [{name: a, host: a.example, port: x}]", "service a: port: must be a whole number"),
        ("services: [{name: a, routes: [{name: r, paths: [5]}]}]", "route r: paths: must be a list of strings"),
        ("services: [{name: a, routes: [{name: r, methods: GET}]}]", "route r: methods: must be a list of strings"),
        ("upstreams: [{name: u, targets: [{target: 5}]}]", "upstream u: a target is invalid"),
        ("consumers: [5]", "consumers: must be a list of objects"),
        ("routes: [{name: r, service: {name: nowhere}}]", "route r: its service is not in the file"),
        ("other: 1", "has no services and no plugins"),
        ("services: [{name: a, url: 'http://a.example'}]", "has no enabled plugin openid-connect"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]",
         "has more than 200000 values"),
    ],
)  # fmt: skip
def test_wrong_file_is_one_line(text: str, message: str) -> None:
    done = migrate(text, status=5)
    assert done.stderr.startswith("- ") and message in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_service_that_nginx_cannot_proxy_is_named() -> None:
    odd = {"name": "odd", "protocol": "tcp", "host": "a.example", "routes": [route("r", "/r")]}
    done = migrate(deck(odd, service(plugins=[plugin()])), "--partial", status=6)
    assert "service odd: protocol: tcp is not proxied by proxy_pass" in done.stderr
    assert "tcp:" not in done.stdout


def test_missing_file_is_an_error_of_the_command_line() -> None:
    command = [sys.executable, "-m", "credgate", "migrate", "/nowhere.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "/nowhere.yaml" in done.stderr and "Traceback" not in done.stderr


def test_output_is_replaced_as_a_whole_and_only_if_something_is_written(tmp_path: Path) -> None:
    file, link = tmp_path / "gates.conf", tmp_path / "link.conf"
    file.write_text("old")
    link.symlink_to(file)
    done = migrate(deck(service(plugins=[plugin(session_secret="x")])), "--output", str(file), status=6)
    assert (file.read_text(), done.stdout) == ("old", "")
    done = migrate(deck(service(plugins=[plugin()])), "--output", str(link))
    assert (done.stdout, done.stderr, link.is_symlink()) == ("", "", True)
    assert "credgate_issuer https://idp.example;" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(tmp_path.iterdir()) == [file, link]


def test_output_that_cannot_be_written_is_an_error_of_the_command_line(tmp_path: Path) -> None:
    text = deck(service(plugins=[plugin()]))
    assert "No such file or directory" in migrate(text, "--output", str(tmp_path / "none/gates.conf"), status=2).stderr
    (tmp_path / "directory").mkdir()
    assert "Is a directory" in migrate(text, "--output", str(tmp_path / "directory"), status=2).stderr
    assert [file.name for file in tmp_path.iterdir()] == ["directory"]


def test_warnings_of_the_library_are_not_mixed_with_the_notes() -> None:
    done = migrate(deck(service(plugins=[plugin(ssl_verify=False, hide_credentials=False)])))
    assert all(line.startswith("note: ") for line in done.stderr.splitlines()), done.stderr
