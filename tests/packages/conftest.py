"""Fixtures: a clean Debian for each test, and the site of the documentation in its nginx. Ends with a table of packages."""

import re
import zipfile
from collections.abc import Callable, Iterator
from email.parser import Parser
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conftest import ALICE
from support.clean_debian import PACKAGES, CleanDebian
from support.http import ask
from support.lab import Provider, Upstream, bearer
from support.nginx import AUDIENCE
from support.process import run, until

WELL_KNOWN = "/.well-known/openid-configuration"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "package(*names): the packages that the test is about, for the table")


def package(name: str) -> Path:
    """The only file of that package, such as `libcredgate1_*.deb`."""
    (found,) = PACKAGES.glob(name)
    return found


@pytest.fixture
def debian() -> Iterator[CleanDebian]:
    with CleanDebian() as debian:
        yield debian


@pytest.fixture
def forwards(tls_provider: Provider, upstream: Upstream) -> Callable[[int], None]:
    """Asserts that a gateway on a port forwards a token and no secret, and hits its cache. It has several workers."""

    def check(port: int) -> None:
        statuses: list[str | None] = []
        before = tls_provider.count["by_client"].get("alice", 0)

        def hits() -> bool:
            answer = ask(port, headers=ALICE.basic)
            assert answer.status == 200, answer
            statuses.append(answer.header("X-Credgate-Status"))
            seen = answer.json()
            assert bearer(seen).count(".") == 2
            assert ALICE.traces(seen["raw"]) == []
            return statuses[-1] == "HIT"

        until(hits, "a hit")
        assert statuses[0] == "MISS"
        # Those of one process, or of processes without a store.
        assert tls_provider.count["by_client"]["alice"] - before == statuses.count("MISS")
        assert ask(port, headers=ALICE.wrong().basic).status == 401
        assert len(upstream.seen) == len(statuses)

    return check


def four_settings(provider: Provider) -> dict[str, Any]:
    """The settings of the documentation, for the provider of the tests."""
    return {
        "auth_methods": ["client_credentials"],
        "issuer": provider.issuer + WELL_KNOWN,
        "token_post_args_names": ["audience"],
        "token_post_args_values": [AUDIENCE],
    }


def nginx_site(port: int, provider: Provider, upstream: Upstream) -> str:
    """A file of nginx's `conf.d` with these settings."""
    return f"""\
server {{
    listen 127.0.0.1:{port};
    location / {{
        credgate on;
        credgate_issuer {provider.issuer}{WELL_KNOWN};
        credgate_token_post_arg audience {AUDIENCE};
        add_header X-Credgate-Status $credgate_cache_status always;
        proxy_pass {upstream.url};
    }}
}}
"""


@cache
def lintian_errors(file: Path) -> list[str]:
    """The errors that lintian finds in a Debian package."""
    ran = run("lintian", "--allow-root", "--fail-on", "none", "--no-tag-display-limit", file)
    return re.findall(r"^E: .*$", ran.stdout, re.MULTILINE)


def _dependencies(file: Path) -> str:
    """The packages that a package depends on, without versions."""
    match file.suffix:
        case ".deb":
            text = run("dpkg-deb", "--field", file, "Depends").stdout
        case ".whl":
            with zipfile.ZipFile(file) as wheel:
                (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
                metadata = Parser().parsestr(wheel.read(name).decode())
            text = f"python {metadata['Requires-Python']}"
        case _:
            with zipfile.ZipFile(file) as rock:
                (name,) = (name for name in rock.namelist() if name.endswith(".rockspec"))
                text = ", ".join(re.findall(r'"([^"]+)"', _dependency_table(rock.read(name).decode())))
    return re.sub(r"\s+", " ", text).strip()


def _dependency_table(rockspec: str) -> str:
    return rockspec.partition("dependencies = {")[2].partition("}")[0]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("package"):
        item.user_properties += [("package", name) for name in mark.args]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table: package, size, dependencies, errors of lintian, tests. Then the newcomers with their times."""
    outcomes: dict[object, list[bool]] = {}
    newcomers: list[object] = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and (report.when == "call" or report.failed):
                for kind, name in report.user_properties:
                    if kind == "package":
                        outcomes.setdefault(name, []).append(report.passed)
                    if kind == "newcomer":
                        newcomers.append(name)
    terminalreporter.section("packages")
    for file in sorted(PACKAGES.iterdir()):
        if file.suffix in {".deb", ".rock", ".whl"}:
            results = [result for name, found in outcomes.items() if file.match(str(name)) for result in found]
            errors = f"{len(lintian_errors(file))} errors of lintian, " if file.suffix == ".deb" else ""
            terminalreporter.line(f"{file.name}  {file.stat().st_size / 1024:,.0f} KiB")
            terminalreporter.line(f"    {errors}{sum(results)} of {len(results)} tests passed; {_dependencies(file)}")
    terminalreporter.section("newcomers")
    for newcomer in newcomers:
        terminalreporter.line(str(newcomer))
