"""Client credentials at a gateway: exchanged, cached, forwarded as a Bearer token.

>>> import credgate
>>> gate = credgate.Gate(issuer="https://tenant.auth0.com/")
>>> gate.authenticate().http_status
401
"""

from credgate import _forks
from credgate._configuration import Settings
from credgate._credgate import (
    Allow,
    ConfigError,
    CredgateError,
    DeniedError,
    Deny,
    Problem,
    Token,
    __version__,
    configure,
    metrics,
    purge,
    redact_query,
    report,
)
from credgate._diagnosis import Diagnosis, Finding
from credgate._fields import config_fields
from credgate._gate import Gate
from credgate._logs import LogFilter
from credgate._options import EngineOptions
from credgate._waiting import close

__all__ = [
    "Allow",
    "ConfigError",
    "CredgateError",
    "DeniedError",
    "Deny",
    "Diagnosis",
    "EngineOptions",
    "Finding",
    "Gate",
    "LogFilter",
    "Problem",
    "Settings",
    "Token",
    "__version__",
    "close",
    "config_fields",
    "configure",
    "metrics",
    "purge",
    "redact_query",
    "report",
]

_forks.watch()
