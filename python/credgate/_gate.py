"""Gates, with what waits in an event loop."""

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
    """One compiled configuration. Starts no thread and opens no connection."""

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
    ) -> Allow | Deny:
        """Authenticate a request in an asyncio event loop, which goes on meanwhile.

        A task that is cancelled leaves the exchange to those who wait for it too.
        """
        answer = self._at_once(
            method, authorization, query, content_type, body, args, client_id, client_secret
        )
        return await wait(answer) if isinstance(answer, Request) else answer

    async def token_async(
        self,
        client_id: Text,
        client_secret: Text,
        args: Mapping[str, Text | None] | None = None,
    ) -> Token:
        """Answer the token of a client, in an asyncio event loop."""
        answer = self._token_at_once(client_id, client_secret, args)
        return to_token(await wait(answer)) if isinstance(answer, Request) else answer

    def optional(self) -> Gate:
        """Answer the same gate where credentials are optional (`anonymous`).

        What would be answered with 401 passes without a token. The two share their tokens.
        """
        return type(self)(self._optional())
