"""Secrets in what others log."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from credgate._credgate import redact_query

if TYPE_CHECKING:
    from re import Match

# To the next blank of ASCII: some servers decode quotation marks, brackets and other scripts before
# they log, and a secret may hold any of them.
QUERY = re.compile(r"(?<=\?)\S+", re.ASCII)


class LogFilter(logging.Filter):
    """Overwrites secrets in the queries of all URLs that a logger logs.

    For servers that log requests as they came, where no middleware can reach them: gunicorn, with
    its worker asgi and where an application fails ("gunicorn.access", "gunicorn.error"), and those
    that Flask and Django have for development ("werkzeug", "django.server").
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without secrets."""
        record.msg = QUERY.sub(_redacted, record.getMessage())
        record.args = None
        return True


def _redacted(query: Match[str]) -> str:
    return redact_query(query[0])
