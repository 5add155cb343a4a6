"""`LogFilter` removes secrets from the records of servers, and keeps their arguments for formatters."""

import logging
from typing import Any

import credgate
import pytest
from gunicorn.glogging import SafeAtoms
from uvicorn.logging import AccessFormatter

from conftest import ALICE

TARGET = f"/x?{ALICE.parameters}&keep=1"


def filtered(message: Any, *args: Any) -> logging.LogRecord:
    record = logging.LogRecord("server", logging.INFO, "server.py", 1, message, args, None)
    assert credgate.LogFilter().filter(record)
    return record


def test_uvicorn_formats_a_filtered_record() -> None:
    record = filtered('%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "GET", TARGET, "1.1", 200)
    line = AccessFormatter("%(client_addr)s %(request_line)s %(status_code)s").format(record)
    assert line.startswith("127.0.0.1:5 GET /x?client_id=alice&client_secret=***") and line.endswith("&keep=1 HTTP/1.1 200 OK")
    assert ALICE.traces(line, repr(record.args)) == []


def test_the_arguments_of_gunicorn_keep_their_behaviour() -> None:
    atoms = SafeAtoms({"r": f"GET {TARGET} HTTP/1.1", "s": 200, "{x-a}i": "1"})
    record = filtered("%(r)s %(s)s %({X-A}i)s %({missing}i)s", atoms)
    assert record.getMessage().endswith("&keep=1 HTTP/1.1 200 1 -")
    assert ALICE.traces(record.getMessage(), repr(record.args)) == []
    assert atoms["r"] == f"GET {TARGET} HTTP/1.1", "the arguments belong to the server"


class Shown:
    """An object whose text contains a query."""

    def __str__(self) -> str:
        return TARGET


@pytest.mark.parametrize(("message", "args"), [(TARGET, ()), (Shown(), ()), ("%s", (Shown(),)), ("/x?%s", (ALICE.parameters,))])
def test_a_query_is_redacted_wherever_the_record_has_it(message: Any, args: tuple[Any, ...]) -> None:
    text = filtered(message, *args).getMessage()
    assert "client_secret=***" in text and ALICE.traces(text) == []


def test_a_record_without_a_secret_is_unchanged() -> None:
    record = filtered("%s took %d ms?client_secret", "GET /x?a=1", 5)
    assert (record.msg, record.args) == ("%s took %d ms?client_secret", ("GET /x?a=1", 5))
