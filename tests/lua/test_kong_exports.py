"""Plugin objects as Kong's admin API writes them, and the fields of a configuration as data, in resty.credgate."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.http import ask
from support.kong import GUIDE, VERSIONS, differences, export, refusals
from support.nginx import Nginx
from support.openresty import start
from support.process import ROOT

NEW = """content_by_lua_block {
    local credgate, cjson = require "resty.credgate", require "cjson"
    ngx.req.read_body()
    local config = cjson.decode(ngx.req.get_body_data())
    local gate, err, problems = credgate.new(config)
    ngx.print(cjson.encode { gate = gate and gate:config(), err = err, problems = problems })
}"""
FIELDS = 'content_by_lua_block { ngx.print(require("cjson").encode(require("resty.credgate").fields())) }'
OPTIONS = """content_by_lua_block {
    local credgate, cjson = require "resty.credgate", require "cjson"
    local done, err, problems = credgate.configure { max_waiting = 0 }
    ngx.print(cjson.encode { err = err, problems = problems })
}"""


@pytest.fixture
def server(nginx: Callable[..., Nginx]) -> Nginx:
    size = "client_max_body_size 1m; client_body_buffer_size 1m;"
    return start(
        nginx, "",
        f"{size} location / {{ {NEW} }} location /fields {{ {FIELDS} }} location /options {{ {OPTIONS} }}",
    )  # fmt: skip


@pytest.fixture
def new(server: Nginx) -> Callable[[Any], Any]:
    """Calls `credgate.new` with a table that cjson has decoded."""
    return lambda config: ask(server.port, method="POST", body=json.dumps(config)).json()


@pytest.mark.parametrize("version", VERSIONS)
def test_export_means_what_its_operator_set(new: Callable[[Any], Any], version: str) -> None:
    config, guide = (json.loads(new(each)["gate"]) for each in (export(version), GUIDE))
    assert {name for name in guide if config[name] != guide[name]} <= differences(version, config)


def test_every_field_that_is_set_is_refused_with_its_sentence(new: Callable[[Any], Any]) -> None:
    rows = list(refusals())
    answer = new(export("3.15", **{name: value for name, value, _ in rows}))
    found = {problem["field"]: problem["message"] for problem in answer["problems"]}
    assert found == {name: sentence for name, _, sentence in rows}


def test_problems_name_their_fields(new: Callable[[Any], Any], server: Nginx) -> None:
    answer = new({"isuer": "https://idp.example", "timeout": "1s"})
    assert answer["err"].splitlines() == [f"{problem['field']}: {problem['message']}" for problem in answer["problems"]]
    assert [problem["field"] for problem in answer["problems"]] == ["isuer", "timeout"]
    assert new("{")["problems"][0].keys() == {"message"}
    assert new(5)["problems"] == [{"message": "config must be a table or a JSON string"}]
    answer = ask(server.port, "/options").json()
    assert answer["problems"] == [{"field": "max_waiting", "message": "must be at least 1"}]


def test_fields_are_those_of_the_library(server: Nginx) -> None:
    # Lua has one notation for an empty list and an empty object.
    expected = json.loads((ROOT / "core/config.fields.json").read_text().replace(":[]", ":{}"))
    assert ask(server.port, "/fields").json() == expected
