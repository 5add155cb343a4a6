"""What the documentation says is so."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from support.lab import Authority
from support.nginx import BINARY, MODULE
from support.process import ROOT

README = (ROOT / "README.md").read_text()
REFERENCE = (ROOT / "ffi/nginx/README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def check(directory: Path, configuration: str) -> subprocess.CompletedProcess[str]:
    conf = directory / "nginx.conf"
    (directory / "logs").mkdir(exist_ok=True)  # where an nginx of its own prefix logs
    conf.write_text(f"{configuration}\nevents {{}}\npid {directory}/pid;\n")
    command = [BINARY, "-t", "-p", directory, "-e", directory / "error.log", "-c", conf]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_readmes_nginx_configuration_is_accepted(tmp_path: Path, authority: Authority) -> None:
    (example,) = blocks("nginx")
    for written, here in {
        "/path/to/target/nginx/ngx_http_credgate_module.so": MODULE,
        "/etc/ssl/gateway.pem": authority.cert,
        "/etc/ssl/gateway.key": authority.key,
    }.items():
        assert written in example
        example = example.replace(written, str(here))
    done = check(tmp_path, example)
    assert done.returncode == 0, done.stderr


def test_the_readmes_json_is_a_configuration(tmp_path: Path) -> None:
    (seed,) = blocks("json")
    kong = f'{{"name": "openid-connect", "config": {seed}}}'
    for config in (seed, kong):
        (tmp_path / "gate.json").write_text(config)
        location = "location / { credgate on; credgate_config gate.json; }"
        done = check(tmp_path, f"load_module {MODULE};\nhttp {{ server {{ {location} }} }}")
        assert done.returncode == 0, done.stderr


def test_the_readme_names_only_fields_that_exist() -> None:
    fields = json.loads((ROOT / "core/config.schema.json").read_text())["properties"]
    (section,) = re.findall(r"^## Configuration\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    named = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
    assert len(named) > 5
    assert [name for name in named if name not in fields] == []


@pytest.mark.parametrize(
    ("file", "pattern", "form"),
    [
        ("ngx_http_credgate_module.c", r'^    NGX_HTTP_CREDGATE_SETTING\("(\w+)"', "Syntax:  credgate_{} "),
        ("ngx_http_credgate_variables.c", r'^    \{ ngx_string\("(\w+)"\)', "`${}`"),
        ("ngx_http_credgate_module.c", r'^    \{ ngx_string\("(\w+)"\)', "Syntax:  {}"),
    ],
    ids=["settings", "variables", "directives"],
)
def test_everything_that_an_operator_can_type_is_in_the_reference(file: str, pattern: str, form: str) -> None:
    names = re.findall(pattern, (ROOT / "ffi/nginx" / file).read_text(), re.MULTILINE)
    assert len(names) >= 2
    assert [name for name in names if form.format(name) not in REFERENCE] == []
