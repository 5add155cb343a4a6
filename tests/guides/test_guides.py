"""Every block of a guide runs against its provider's dialect (lab/dialects.py), and the shown output is what is printed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ALICE, CLIENTS
from support.guides import (
    GUIDES,
    WITHOUT_ROLE,
    Case,
    Dialects,
    Guide,
    Place,
    checks_as_shown,
    forwards,
    forwards_in_lua,
    gets_a_token,
)
from support.http import Client
from support.lab import Authority, Upstream
from support.nginx import Nginx

# The suite `providers` runs these against the providers themselves.
REAL = ("hydra", "keycloak")
NAMES = sorted(file.stem for file in GUIDES.glob("*.md") if file.stem not in ("README", *REAL))

REFUSED, MISCONFIGURED = 3, 5
WRONG = ALICE.wrong()
UNKNOWN = Client("unknown", "s3cret")
CASES = {
    ("auth0", "works"): Case(ALICE),
    ("auth0", "wrong-secret"): Case(WRONG, exit_status=REFUSED),
    ("auth0", "unknown-audience"): Case(
        ALICE, change=("--audience https://example.com/", "--audience https://example.com"), exit_status=REFUSED
    ),
    ("auth0", "no-audience"): Case(
        ALICE, change=("--audience https://example.com/", "--set audience_required=https://example.com/"),
        exit_status=MISCONFIGURED,
    ),
    ("okta", "works"): Case(ALICE),
    ("okta", "no-scope"): Case(ALICE, change=("--scope api:read ", ""), exit_status=MISCONFIGURED),
    ("okta", "other-scope"): Case(ALICE, change=("--scope api:read", "--scope api:admin"), exit_status=MISCONFIGURED),
    ("okta", "unknown-client"): Case(UNKNOWN, exit_status=REFUSED),
    ("entra", "works"): Case(ALICE),
    ("entra", "without-role"): Case(WITHOUT_ROLE, exit_status=MISCONFIGURED),
    ("entra", "other-scope"): Case(ALICE, change=("--scope api://API_ID/.default", "--scope openid"), exit_status=MISCONFIGURED),
    ("entra", "wrong-secret"): Case(WRONG, exit_status=REFUSED),
    ("entra", "unknown-client"): Case(UNKNOWN, exit_status=REFUSED),
    ("cognito", "works"): Case(ALICE),
    ("cognito", "audience-required"): Case(
        ALICE, change=("--scope orders/read", "--scope orders/read --set audience_required=orders"), exit_status=MISCONFIGURED
    ),
    ("cognito", "other-scope"): Case(ALICE, change=("--scope orders/read", "--scope openid"), exit_status=MISCONFIGURED),
    ("cognito", "wrong-secret"): Case(WRONG, exit_status=REFUSED),
    ("generic", "works"): Case(ALICE),
    ("generic", "no-metadata"): Case(
        ALICE, change=("https://idp.example.com", "https://idp.example.com/oauth2"), exit_status=MISCONFIGURED
    ),
    ("generic", "default-scope"): Case(ALICE, change=("--scope api:read ", "")),
    ("generic", "other-resource"): Case(ALICE, change=("https://example.com/", "https://example.com"), exit_status=MISCONFIGURED),
    ("generic", "no-resource"): Case(
        ALICE, change=("'token_post_args={\"resource\": \"https://example.com/\"}'", "audience_required=https://example.com/"),
        exit_status=MISCONFIGURED,
    ),
    ("generic", "wrong-secret"): Case(WRONG, exit_status=REFUSED),
    ("internal-address", "works"): Case(ALICE),
    ("internal-address", "internal-issuer"): Case(
        ALICE, change=("--issuer https://id.example.com", "--issuer https://keycloak.internal.example.com:8443"),
        exit_status=MISCONFIGURED,
    ),
    ("internal-address", "plain-http"): Case(
        ALICE, change=(
            "token_endpoint=https://keycloak.internal.example.com:8443",
            "token_endpoint=http://keycloak.internal.example.com:8080",
        ),
        exit_status=MISCONFIGURED,
    ),
}


def guides(language: str) -> list[Any]:
    """The blocks of a language in all guides, as parameters."""
    return [
        pytest.param(name, block.text, id=f"{name}-{number}")
        for name in NAMES
        for number, block in enumerate(Guide(name).blocks(language))
    ]


@pytest.fixture(scope="session")
def dialects(logs: Path, authority: Authority) -> Iterator[Dialects]:
    with Dialects((*CLIENTS, WITHOUT_ROLE), logs, authority).start() as dialects:
        yield dialects


@pytest.fixture
def place(request: pytest.FixtureRequest, dialects: Dialects) -> Place:
    """The provider of the guide `name`."""
    return dialects.places[request.getfixturevalue("name")]


@pytest.mark.parametrize(("name", "text"), guides("nginx"))
def test_the_nginx_blocks_forward_a_token(
    name: str, text: str, place: Place, tmp_path: Path, upstream: Upstream
) -> None:
    forwards(text, place, tmp_path, upstream, ALICE)


@pytest.mark.parametrize(("name", "text"), guides("lua"))
def test_the_lua_blocks_forward_a_token(
    name: str, text: str, place: Place, nginx: Callable[..., Nginx], upstream: Upstream
) -> None:
    forwards_in_lua(text, place, nginx, upstream, ALICE)


@pytest.mark.parametrize(("name", "text"), guides("python"))
def test_the_python_blocks_get_a_token(name: str, text: str, place: Place) -> None:
    gets_a_token(text, place, ALICE)


@pytest.mark.parametrize(("name", "label"), CASES)
def test_check_prints_the_text_of_the_guide(name: str, label: str, place: Place) -> None:
    checks_as_shown(Guide(name), label, place, CASES[name, label])


def test_every_shown_output_is_of_a_case() -> None:
    shown = {(name, block.label) for name in NAMES for block in Guide(name).blocks("text")}
    assert shown == set(CASES)


@pytest.mark.parametrize("name", [*NAMES, *REAL])
def test_every_guide_has_all_kinds_of_blocks_and_no_other(name: str) -> None:
    guide = Guide(name)
    assert {block.language for block in guide.blocks()} == {"", "nginx", "lua", "python", "text"}
    assert guide.text.count("```") == 2 * len(guide.blocks())
