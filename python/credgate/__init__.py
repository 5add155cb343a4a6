"""Client credentials at a gateway: exchanged, cached, forwarded as a Bearer token.

>>> import credgate
>>> gate = credgate.Gate({"issuer": "https://tenant.auth0.com/"})
>>> gate.authenticate().status
401
"""

from credgate._credgate import Allow, ConfigError, CredgateError, Deny, Gate, __version__

__all__ = ["Allow", "ConfigError", "CredgateError", "Deny", "Gate", "__version__"]
