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

    The configuration is a mapping, JSON text, or keyword arguments named as in
    core/CONFIGURATION.md. Kong's plugin object and another gate are accepted too. Raises
    ConfigError, which names the field, if it is invalid.
    """

    __slots__ = ()

    def authenticate(  # noqa: PLR0913
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
        """Authenticate a request; on a miss, wait for the exchange.

        Pass the parts of the request unchanged: `query` is without "?" and not decoded. Reject a
        request with several Authorization headers before calling this. `args` are values for the
        gate's token_post_args_host. If `client_id` and `client_secret` are given, the request is
        not searched for credentials; an empty one is a denial. `peer` is the IP address of the
        client: exchanges without a token are counted for it (refusals_per_source). `traceparent` is
        the header of that name, which the token request gets if the gate forwards it
        (`wants_traceparent`). `headers` are names and values, as received;
        the gate reads only those that it names (client_id_header, client_secret_header).
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
        return result.wait() if type(result) is Request else result

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
    def token(
        self,
        client_id: None = None,
        client_secret: None = None,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token: ...
    @overload
    def token(
        self,
        client_id: Text,
        client_secret: Text,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token: ...
    def token(
        self,
        client_id: Text | None = None,
        client_secret: Text | None = None,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token:
        """Return the token of a client; on a miss, wait for the exchange.

        Raises DeniedError if there is no token. Without an id and a secret, the client is the
        gateway's own (client_id in the configuration). `args` are values for the gate's
        token_post_args_host.
        """
        result = self._token(client_id, client_secret, args)
        return to_token(result.wait()) if type(result) is Request else result

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
