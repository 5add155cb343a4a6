"""The class `credgate.Gate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from credgate import _credgate
from credgate._credgate import Request, to_token
from credgate._waiting import wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from credgate._credgate import Allow, Deny, Token
    from credgate._types import Text


class Gate(_credgate.Gate):
    """A compiled configuration. Creating one starts no thread and opens no connection.

    The configuration is a mapping, JSON text, or keyword arguments: the settings that
    `python -m credgate settings` prints. Kong's plugin object and another gate are accepted too.
    Raises ConfigError, which names the field, if it is invalid.
    """

    __slots__ = ()

    async def authenticate_async(  # noqa: PLR0913
        self,
        *,
        method: Text = "GET",
        authorization: Text | None = None,
        query: Text | None = None,
        content_type: Text | None = None,
        body: Text | None = None,
        args: Mapping[str, Text | None] | None = None,
        client_id: Text | None = None,
        client_secret: Text | None = None,
        peer: Text | None = None,
        traceparent: Text | None = None,
        headers: Iterable[tuple[Text, Text]] | None = None,
    ) -> Allow | Deny:
        """Authenticate a request; on a miss, await the exchange without blocking the event loop.

        The arguments are those of `authenticate`. Cancelling the task does not cancel the exchange.
        """
        result = self._authenticate(
            method,
            authorization,
            query,
            content_type,
            body,
            args,
            client_id,
            client_secret,
            peer,
            traceparent,
            headers,
        )
        return await wait(result) if type(result) is Request else result

    @overload
    async def token_async(
        self,
        client_id: None = None,
        client_secret: None = None,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token: ...
    @overload
    async def token_async(
        self,
        client_id: Text,
        client_secret: Text,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token: ...
    async def token_async(
        self,
        client_id: Text | None = None,
        client_secret: Text | None = None,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token:
        """Return the token of a client; on a miss, await the exchange. See `token`."""
        result = self._token(client_id, client_secret, args)
        return to_token(await wait(result)) if type(result) is Request else result

    def optional(self) -> Gate:
        """Return a copy of this gate with `anonymous` on: credentials are optional.

        Requests that this gate would deny with 401 pass without a token. Both gates share their
        tokens.
        """
        return type(self)(self._optional())

    def token_endpoint(self) -> Gate:
        """Return the gate of a token endpoint: it allows only the requests of RFC 6749.

        Its denials are the error responses of section 5.2, and `token_response` of its outcomes is
        the body of a success. Every response needs "Cache-Control: no-store". Both gates share
        their tokens. Raises ConfigError if this gate exchanges no credentials of clients.
        `credgate.asgi.TokenEndpoint` and `credgate.wsgi.TokenEndpoint` use it.
        """
        return type(self)(self._token_endpoint())

    def external(self) -> Gate:
        """Return the gate of a service that other proxies ask: it searches headers only.

        Both gates share their tokens. Raises ConfigError if this gate searches no header.
        `credgate.asgi.Check` and `credgate.wsgi.Check` use it.
        """
        return type(self)(self._external())
