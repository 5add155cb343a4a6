"""The parts that the `Auth` classes of all client libraries share."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from credgate import Gate, Token

UNAUTHORIZED = 401
ENCRYPTED = {"https", "wss"}


class Client:
    """A machine client: its gate, its credentials, and the hosts that may receive its token."""

    _pair: tuple[str, str] | None = None

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
        receive the token, without ports; None: all hosts.
        """
        self._gate = gate
        if client_id is not None and client_secret is not None:
            self._pair = (client_id, client_secret)
        elif client_id is not None or client_secret is not None:
            message = "a client has both an id and a secret"
            raise ValueError(message)
        self._args = args
        self._hosts = None if hosts is None else {host.lower() for host in hosts}

    def __repr__(self) -> str:
        """Show the client id, not the secret."""
        client_id = self._pair[0] if self._pair else self._gate.config["client_id"]
        return f"<{type(self).__module__}.Auth client_id={client_id!r}>"

    def _token(self) -> Token:
        """Return the token; on a miss, wait for the exchange."""
        if self._pair is None:
            return self._gate.token(args=self._args)
        return self._gate.token(*self._pair, self._args)

    async def _token_async(self) -> Token:
        """Return the token; on a miss, await the exchange."""
        if self._pair is None:
            return await self._gate.token_async(args=self._args)
        return await self._gate.token_async(*self._pair, self._args)

    def _may_go_to(self, scheme: str, find_host: Callable[[], str]) -> bool:
        """Return whether a request must carry the token; raise ValueError if it is unsafe."""
        if scheme in ENCRYPTED and self._hosts is None:
            return True  # finding the host costs more than the token
        host = find_host()
        if self._hosts is not None and host.lower() not in self._hosts:
            return False
        if scheme not in ENCRYPTED and not is_here(host):
            message = f"will not send a token to {scheme}://{host} unencrypted: use https"
            raise ValueError(message)
        return True


def is_here(host: str) -> bool:
    """Return whether a host is a loopback address or localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
