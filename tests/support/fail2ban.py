"""The documented filter for fail2ban."""

import re

from support.nginx import Nginx
from support.process import ROOT

# fail2ban removes the timestamp and replaces <HOST> before it matches.
HOST = r"(?P<host>\d+\.\d+\.\d+\.\d+|[0-9a-fA-F:]+)"


def failregex() -> re.Pattern[str]:
    """The filter in the documentation."""
    text = (ROOT / "ffi/nginx/OPERATING.md").read_text()
    line = re.search(r"^ *failregex = (.*)$", text, re.MULTILINE)
    assert line
    return re.compile(line[1].replace("<HOST>", HOST))


def found(server: Nginx) -> list[str]:
    """The addresses that the filter finds in the error log."""
    lines = [line.split(" ", 2)[2] for line in server.errors.splitlines() if line.count(" ") > 2]
    return [match["host"] for line in lines if (match := failregex().search(line))]
