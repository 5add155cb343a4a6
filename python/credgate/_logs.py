"""A filter that removes secrets from the log records of servers."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from credgate._credgate import redact_query

if TYPE_CHECKING:
    from re import Match

# A query ends at the next ASCII space only. Some servers decode quotation marks, brackets and
# non-ASCII characters before they log, and a secret may contain any of them.
QUERY = re.compile(r"(?<=\?)\S+", re.ASCII)


class LogFilter(logging.Filter):
    """Overwrites the value of client_secret in every query that a logger logs.

    For servers that log the original request, which middleware cannot change: gunicorn with the
    worker class asgi, or if the application raises ("gunicorn.access", "gunicorn.error"), and the
    development servers of Flask ("werkzeug") and Django ("django.server").
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record; return True."""
        record.msg = QUERY.sub(_redacted, record.getMessage())
        record.args = None
        return True


def _redacted(query: Match[str]) -> str:
    return redact_query(query[0])
