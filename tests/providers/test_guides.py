"""Every block of the guides for Keycloak and Ory Hydra runs against the providers themselves."""

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from support.guides import Case, Guide, Place, checks_as_shown, forwards, forwards_in_lua, gets_a_token
from support.http import Client
from support.hydra import Hydra
from support.keycloak import ADMIN, Keycloak
from support.lab import Authority, Upstream
from support.nginx import Nginx
from support.process import run

REFUSED, MISCONFIGURED = 3, 5


def commands(guide: Guide, names: dict[str, str]) -> None:
    """Runs the commands at the provider."""
    blocks = [block.text for block in guide.blocks("") if "credgate check" not in block.text]
    assert blocks
    for command in blocks:
        for written, meant in names.items():
            assert written in command, written
            command = command.replace(written, meant)
        run("bash", "-ec", command, env={**os.environ, "JAVA_OPTS": "-XX:TieredStopAtLevel=1"})


def run_blocks(
    guide: Guide, place: Place, client: Client, directory: Path, nginx: Callable[..., Nginx], upstream: Upstream
) -> None:
    for number, block in enumerate(guide.blocks("nginx")):
        here = directory / f"block-{number}"
        here.mkdir()
        forwards(block.text, place, here, upstream, client)
    for block in guide.blocks("lua"):
        forwards_in_lua(block.text, place, nginx, upstream, client)
    for block in guide.blocks("python"):
        gets_a_token(block.text, place, client)


def over_https(printed: str) -> str:
    """The output of a check without the warning about http, which a provider on loopback has."""
    valid = "ok       configuration  The settings are valid, and none of them is dangerous."
    warned = r"warning +configuration +allow_loopback_http.*\n +To do: Change the setting, unless you need it\."
    printed, count = re.subn(warned, valid, printed)
    assert count == 1, printed
    return printed if "warning" in printed.replace("See the warnings", "") else printed.replace(" See the warnings above.", "")


def test_the_guide_for_keycloak(
    keycloak: Keycloak, authority: Authority, tmp_path: Path, nginx: Callable[..., Nginx], upstream: Upstream
) -> None:
    guide, client = Guide("keycloak"), keycloak.new_client()
    admin = f"{keycloak.directory}/bin/kcadm.sh"
    config = f"--config {tmp_path}/kcadm.config"
    commands(
        guide,
        {
            "kcadm.sh config credentials": f"{admin} config credentials {config} --password {ADMIN}",
            "kcadm.sh create clients": f"{admin} create clients {config}",
            "https://id.example.com": f"http://127.0.0.1:{keycloak.port}",
            "CLIENT_ID": client.id,
            "CLIENT_SECRET": client.secret,
        },
    )
    trusted = ("ssl_trusted_certificate", str(authority.ca))
    place = Place("https://id.example.com/realms/machines", keycloak.tls_issuer, (), trusted)
    run_blocks(guide, place, client, tmp_path, nginx, upstream)
    cases = {
        "works": Case(client),
        "no-mapper": Case(keycloak.register(audiences=()), exit_status=MISCONFIGURED),
        "wrong-secret": Case(client.wrong(), exit_status=REFUSED),
        "no-service-account": Case(keycloak.register(service_account=False), exit_status=REFUSED),
    }
    assert set(cases) == {block.label for block in guide.blocks("text")}
    for label, case in cases.items():
        checks_as_shown(guide, label, place, case)


def test_the_guide_for_hydra(
    hydra: Hydra, tmp_path: Path, nginx: Callable[..., Nginx], upstream: Upstream
) -> None:
    guide, client = Guide("hydra"), hydra.new_client()
    commands(
        guide,
        {
            "hydra create": f"{hydra.program} create",
            "http://127.0.0.1:4445": f"http://127.0.0.1:{hydra.admin_port}",
            "CLIENT_ID": client.id,
            "CLIENT_SECRET": shlex.quote(client.secret),
        },
    )
    names = (("https://hydra.example.com", hydra.issuer),)
    place = Place("https://hydra.example.com/", f"{hydra.issuer}/", names, ("allow_loopback_http", "true"))
    run_blocks(guide, place, client, tmp_path, nginx, upstream)
    method = "--set token_endpoint_auth_method=client_secret_basic --client-id"
    cases = {
        "works": Case(client),
        "without-slash": Case(
            client,
            ("--audience https://example.com/", "--audience https://example.com --set audience_required=https://example.com/"),
            MISCONFIGURED,
        ),
        "other-audience": Case(client, ("--audience https://example.com/", "--audience https://other.example.com/"), REFUSED),
        "other-scope": Case(client, ("--scope api:read", "--scope openid"), MISCONFIGURED),
        "other-method": Case(client, ("--client-id", method), REFUSED),
    }
    assert set(cases) == {block.label for block in guide.blocks("text")}
    for label, case in cases.items():
        checks_as_shown(guide, label, place, case, over_https)
