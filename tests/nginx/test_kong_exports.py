"""Plugin objects as Kong's admin API writes them, in `credgate_config`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support.http import ask
from support.kong import VERSIONS, export, refusals
from support.lab import Provider, Upstream, bearer
from support.nginx import AUDIENCE, Nginx, location


@pytest.mark.parametrize("version", VERSIONS)
def test_export_forwards_the_token(
    nginx: Callable[..., Nginx], tmp_path: Path, provider: Provider, upstream: Upstream, version: str
) -> None:
    file = tmp_path / "plugin.json"
    config = export(
        version, issuer=provider.issuer, token_post_args_values=[AUDIENCE], allow_loopback_http=True, ssl_verify=True,
        hide_credentials=True,
    )  # fmt: skip
    file.write_text(json.dumps(config))
    server = nginx(location("/", "credgate on", f"credgate_config {file}", f"proxy_pass {upstream.url}"))
    answer = ask(server.port, headers=ALICE.basic)
    assert answer.status == 200
    assert bearer(answer.json())
    assert ask(server.port, headers=ALICE.wrong().basic).status == 401


def test_every_field_that_is_set_is_refused_with_its_sentence(tmp_path: Path) -> None:
    rows = list(refusals())
    file = tmp_path / "plugin.json"
    file.write_text(json.dumps(export("3.15", **{name: value for name, value, _ in rows})))
    errors = Nginx(tmp_path / "nginx", location("/", "credgate on", f"credgate_config {file}", "return 200")).check().stderr
    for name, _, sentence in rows:
        assert f"credgate: {file}: {name}: {sentence} in " in errors
