"""A filter that removes secrets from the log records of servers."""

from __future__ import annotations

import copy
import logging
import re

from credgate._credgate import redact_query

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
        """Redact the record; return True. Its arguments are kept, because formatters read them."""
        if isinstance(record.args, tuple):
            record.args = tuple(_redacted(value) for value in record.args)
        elif isinstance(record.args, dict):
            values = {name: _redacted(value) for name, value in record.args.items()}
            # gunicorn's arguments are a dict with a behaviour of its own.
            record.args = copy.copy(record.args)
            record.args.update(values)
        message = record.getMessage()
        redacted = _redacted(message)
        if redacted != message:
            record.msg, record.args = redacted, None
        return True


def leave_out_warnings() -> None:
    """Have a command show warnings about settings itself; without a handler, Python prints them."""
    logging.getLogger("credgate").addHandler(logging.NullHandler())


def _redacted(value: object) -> object:
    if not isinstance(value, str):
        return value
    return QUERY.sub(lambda query: redact_query(query[0]), value)
