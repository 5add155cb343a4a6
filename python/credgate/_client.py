"""The parts that the `Auth` classes of all client libraries share."""

from __future__ import annotations

import ipaddress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from credgate import Gate

UNAUTHORIZED = 401
ENCRYPTED = {"https", "wss"}


class Client:
    """A machine client: its gate, its credentials, and the hosts that may receive its token."""

    def __init__(
        self,
        gate: Gate,
        client_id: str | None = None,
        client_secret: str | None = None,
        *,
        args: Mapping[str, str | None] | None = None,
        hosts: Collection[str] | None = None,
    ) -> None:
        """Create it for one client. Without id and secret, that is the gate's own (client_id).

        `args` are values for the gate's token_post_args_host. `hosts` are the only hosts that
        receive the token, without scheme and port; None: all hosts. Raises ValueError if one of
        `hosts` is no name or address of a host, if only one of id and secret is passed, and if the
        gate has no client of its own.
        """
        if (client_id is None) != (client_secret is None):
            message = "client_id and client_secret must be passed together"
            raise ValueError(message)
        if client_id is None and gate.config["client_id"] is None:
            message = (
                "the gate has no client of its own: pass client_id and client_secret, or set "
                "client_id"
            )
            raise ValueError(message)
        self._gate = gate
        self._client_id = client_id
        # Each costs a request less than a method that looks up the gate and the client.
        self._token = partial(gate.token, client_id, client_secret, args)
        self._token_async = partial(gate.token_async, client_id, client_secret, args)
        self._hosts = None if hosts is None else _names(hosts)

    def __repr__(self) -> str:
        """Show the client id, not the secret."""
        client_id = self._client_id or self._gate.config["client_id"]
        return f"<{type(self).__module__}.Auth client_id={client_id!r}>"

    def _may_go_to(self, scheme: str, host: str) -> bool:
        """Return whether a request must carry the token; raise ValueError if it is unsafe.

        Without `hosts`, callers need not ask for the schemes of ENCRYPTED: finding the host of a
        URL costs more than the token.
        """
        if self._hosts is not None and host.lower() not in self._hosts:
            return False
        if scheme not in ENCRYPTED and not is_here(host):
            message = f"will not send a token to {scheme}://{host} unencrypted: use https"
            raise ValueError(message)
        return True


def _names(hosts: Collection[str]) -> set[str]:
    """Return hosts as URLs have them; raise an exception for text that no host of a URL can be."""
    if isinstance(hosts, str):
        message = f"hosts must be a list, such as [{hosts!r}]"
        raise TypeError(message)
    return {_name(host) for host in hosts}


def _name(host: str) -> str:
    bare = host.lower().strip("[]")
    if "/" in host or (":" in host and not _is_ipv6(bare)):
        message = f"hosts: {host!r} must be a name or an address, without scheme, port and path"
        raise ValueError(message)
    return bare


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_here(host: str) -> bool:
    """Return whether a host is a loopback address or localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
