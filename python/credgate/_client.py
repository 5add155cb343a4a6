"""What a machine client does with its token, whatever it sends requests with."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from credgate import Gate, Token


class Client:
    """An id and a secret, what tokens are asked for, and where these may go."""

    def __init__(
        self,
        gate: Gate,
        client_id: str,
        client_secret: str,
        *,
        args: Mapping[str, str | None] | None = None,
        hosts: Collection[str] | None = None,
    ) -> None:
        """Ask `gate`'s provider as this client; `args` are for its token_post_args_host."""
        self._gate = gate
        self._pair = (client_id, client_secret)
        self._args = args
        self._hosts = None if hosts is None else {host.lower() for host in hosts}

    def __repr__(self) -> str:
        """Show whose it is, without the secret."""
        return f"<{type(self).__module__}.Auth client_id={self._pair[0]!r}>"

    def _token(self) -> Token:
        """Answer the token; wait for an exchange where one is needed."""
        return self._gate.token(*self._pair, self._args)

    async def _token_async(self) -> Token:
        """Answer the token, in an event loop."""
        return await self._gate.token_async(*self._pair, self._args)

    def _may_go_to(self, scheme: str, find_host: Callable[[], str]) -> bool:
        """Tell whether a request is to carry the token; raise where nobody should send it."""
        if scheme == "https" and self._hosts is None:
            return True  # without a look at the host, which costs more than the token
        host = find_host()
        if self._hosts is not None and host.lower() not in self._hosts:
            return False
        if scheme != "https" and not is_here(host):
            message = (
                f"a token is not sent to {scheme}://{host}, as it can be read there: use https"
            )
            raise ValueError(message)
        return True


def is_here(host: str) -> bool:
    """Tell whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
