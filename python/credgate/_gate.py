"""Gates, as they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credgate import _credgate
from credgate._credgate import Request, to_token
from credgate._waiting import wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credgate._credgate import Allow, Deny, Token
    from credgate._types import Text


class Gate(_credgate.Gate):
    """One compiled configuration. Starts no thread and opens no connection.

    It is a mapping, its JSON text, or settings by their names in core/CONFIGURATION.md; also Kong's
    plugin object; or another gate. Raises ConfigError, naming the field.
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
    ) -> Allow | Deny:
        """Authenticate a request; wait for an exchange where one is needed.

        The parts of the request are as they were sent: the query without "?", not decoded; several
        Authorization headers are refused by the caller. `args` are values for the gate's
        token_post_args_host. `client_id` and `client_secret` are what the caller has from
        elsewhere: then the request is not searched.
        """
        answer = self._ask(
            method, authorization, query, content_type, body, args, client_id, client_secret
        )
        return answer.wait() if type(answer) is Request else answer

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
    ) -> Allow | Deny:
        """Authenticate a request in an asyncio event loop, which goes on meanwhile.

        A task that is cancelled leaves the exchange to those who wait for it too.
        """
        answer = self._ask(
            method, authorization, query, content_type, body, args, client_id, client_secret
        )
        return await wait(answer) if type(answer) is Request else answer

    def token(
        self,
        client_id: Text,
        client_secret: Text,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token:
        """Answer the token of a client; wait for an exchange where one is needed.

        Raises DeniedError where there is none.
        """
        answer = self._token(client_id, client_secret, args)
        return to_token(answer.wait()) if type(answer) is Request else answer

    async def token_async(
        self,
        client_id: Text,
        client_secret: Text,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token:
        """Answer the token of a client, in an asyncio event loop."""
        answer = self._token(client_id, client_secret, args)
        return to_token(await wait(answer)) if type(answer) is Request else answer

    def optional(self) -> Gate:
        """Answer the same gate where credentials are optional (`anonymous`).

        What would be answered with 401 passes without a token. The two share their tokens.
        """
        return type(self)(self._optional())
