"""The README as five newcomers follow it: each on a clean Debian, from its blocks alone, to a forwarded token."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ALICE
from support import readme
from support.clean_debian import ENVIRONMENT, PACKAGES, CleanDebian
from support.lab import Authority, Provider
from support.process import ROOT, TESTS, free_port

CLONE = "/root/credgate"
# A clone contains these, and the packages that the first command of the README has built.
EXAMPLES = ("ffi/examples", "python/examples")
LIBRARY, MODULE = "libcredgate1_*.deb", "libnginx-mod-http-credgate_*.deb"
LUA, ROCK, KONG = "lua-resty-credgate_*.deb", "lua-resty-credgate-*.rock", "kong-plugin-credgate-*.rock"
DEVELOPMENT, WHEEL = "libcredgate-dev_*.deb", "*-manylinux*_x86_64.whl"
FIVE_MINUTES = 300

# Debian of a person: with sudo and curl, and a hand that answers apt.
PERSON = """
apt-get -qq -y --no-install-recommends install curl python3 sudo
echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/yes
"""


def kong(debian: CleanDebian) -> None:
    """Kong Gateway, or what takes its place: the repository has no Kong."""
    debian.install("nginx", "libnginx-mod-http-lua", "lua-cjson", "luarocks")
    shutil.copytree(TESTS / "support/kong_standin", debian.path("/opt/standin"))
    shutil.copy(TESTS / "packages/kong.conf", debian.path("/opt/kong.conf"))
    debian.path("/etc/kong").mkdir()
    command = debian.path("/usr/local/bin/kong")
    plugins = "KONG_PLUGINS=$(sed -n 's/^plugins = //p' /etc/kong/kong.conf)"
    command.write_text(f'#!/bin/sh\ntest "$1" = restart\n{plugins} exec nginx -c /opt/kong.conf\n')
    command.chmod(0o755)


def nothing(debian: CleanDebian) -> None:
    """This newcomer has nothing but Debian."""


NEWCOMERS: dict[str, tuple[Callable[[CleanDebian], None], tuple[str, ...]]] = {
    "nginx": (nothing, (LIBRARY, MODULE)),
    "OpenResty": (nothing, (LIBRARY, LUA)),
    "Kong Gateway": (kong, (LIBRARY, ROCK, KONG)),
    "Python": (nothing, (WHEEL,)),
    "C": (nothing, (LIBRARY, DEVELOPMENT)),
}


def script(heading: str, provider: Provider) -> str:
    """The blocks of a way, with the client, the provider and the ports of this machine."""
    parts = [readme.UPSTREAM, "sleep 1\n"]
    for block in readme.way(heading):
        parts.append(f"cat >{block.label} <<'END OF FILE'\n{block.text}END OF FILE\n" if block.label else block.text)
        # Debian's own site has port 80, which another test or a server of this machine may have.
        parts.append("rm -f /etc/nginx/sites-enabled/default\n")
    text = "".join(parts)
    for written, meant in (
        ("CLIENT_ID=id CLIENT_SECRET=secret", f"CLIENT_ID={ALICE.id} CLIENT_SECRET='{ALICE.secret}'"),
        ("https://tenant.auth0.com", provider.issuer),
    ):
        assert written in text
        text = text.replace(written, meant)
    return text


def follow(debian: CleanDebian, text: str) -> str:
    """Runs a script in the clone. All that it has started ends with it."""
    script = debian.path("/root/newcomer.sh")
    script.write_text(f"set -euo pipefail\ncd {CLONE}\n{text}")
    namespace = ("unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={debian.path('/proc')}")
    command = (*namespace, "chroot", debian.root, "bash", "/root/newcomer.sh")
    output = debian.directory / "output"
    with output.open("wb") as file:
        ended = subprocess.run(
            list(map(str, command)), env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=FIVE_MINUTES
        )
    printed = output.read_text(errors="replace")
    assert ended.returncode == 0, printed
    return printed


def clone(debian: CleanDebian, ports: dict[str, str]) -> None:
    """The files of the repository that the blocks name, with other ports."""
    shutil.copytree(PACKAGES, debian.path(f"{CLONE}/target/packages"))
    for directory in EXAMPLES:
        shutil.copytree(ROOT / directory, debian.path(f"{CLONE}/{directory}"))
    for file in (debian.path(f"{CLONE}/python/examples/upstream.py"), debian.path("/opt/kong.conf")):
        if file.exists():
            file.write_text(elsewhere(file.read_text(), ports))


def elsewhere(text: str, ports: dict[str, str]) -> str:
    return re.sub(r"\b(8000|8001|8080)\b", lambda found: ports[found[0]], text)


# Before it begins, a Debian gets what a person has; other tests may take the processors.
@pytest.mark.timeout(3 * FIVE_MINUTES)
@pytest.mark.parametrize(
    "heading", [pytest.param(name, marks=pytest.mark.package(*packages)) for name, (_, packages) in NEWCOMERS.items()]
)
def test_newcomer_reaches_a_forwarded_token_within_five_minutes(
    heading: str,
    debian: CleanDebian,
    tls_provider: Provider,
    authority: Authority,
    record_property: Callable[[str, object], None],
) -> None:
    prepare, _ = NEWCOMERS[heading]
    ports = {written: str(free_port()) for written in ("8000", "8001", "8080")}
    debian.shell(PERSON)
    prepare(debian)
    debian.trust(authority.ca)
    clone(debian, ports)

    start = time.monotonic()
    printed = follow(debian, elsewhere(script(heading, tls_provider), ports))
    seconds = time.monotonic() - start

    # The upstream shows the request that it got.
    (shown,) = re.findall(r"^GET / HTTP/1\.[01]\n(?:[^\n]+\n)+", printed, re.MULTILINE)
    assert re.search(r"^authorization: Bearer eyJ[\w-]+\.", shown, re.MULTILINE | re.IGNORECASE), printed
    assert ALICE.traces(shown) == []
    assert tls_provider.count["by_client"] == {"alice": 1}
    record_property("newcomer", f"{heading}: {seconds:.0f} s")


def test_every_way_has_a_newcomer() -> None:
    # The suite rust runs the example of the core.
    assert [*NEWCOMERS, "Rust"] == readme.WAYS


def test_the_clone_has_each_file_that_the_blocks_name() -> None:
    named = re.findall(r"\b(?:ffi|python)/\S+\.\w+", readme.UPSTREAM + "".join(b.text for name in NEWCOMERS for b in readme.way(name)))
    assert len(named) == 2
    assert [name for name in named if not (ROOT / name).exists() or str(Path(name).parent) not in EXAMPLES] == []
