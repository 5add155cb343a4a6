"""The flows that the `Auth` classes of httpx and httpx2 share: both libraries have the same API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from credgate._client import ENCRYPTED, UNAUTHORIZED, Client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, MutableMapping

    from credgate import Token


class Sent(Protocol):
    """A request."""

    @property
    def url(self) -> Any:  # noqa: ANN401 - each library has its own URL
        """Its URL."""

    @property
    def headers(self) -> MutableMapping[str, str]:
        """Its headers."""

    @property
    def stream(self) -> object:
        """Its body."""


class Received(Protocol):
    """A response."""

    status_code: int

    @property
    def request(self) -> Any:  # noqa: ANN401 - each library has its own Request
        """The request; after redirects, the last one."""


Request = TypeVar("Request", bound=Sent)
Response = TypeVar("Response", bound=Received)


class Flows(Client, Generic[Request, Response]):
    """Adds a cached token to each request, and refreshes it before it expires."""

    whole: ClassVar[type]
    """The type of the bodies that can be sent again."""

    def sync_auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Send a request; repeat it once if its token is rejected."""
        url = request.url
        is_free = self._hosts is None and url.scheme in ENCRYPTED
        if not is_free and not self._may_go_to(url.scheme, url.host):
            yield request
            return
        token = self._token()
        request.headers["Authorization"] = token.authorization
        response = yield request
        if self._is_rejected(token, response):
            newer = self._token()
            if newer.authorization != token.authorization:
                yield _carrying(newer, response.request)

    async def async_auth_flow(self, request: Request) -> AsyncGenerator[Request, Response]:
        """Send a request; repeat it once if its token is rejected."""
        url = request.url
        is_free = self._hosts is None and url.scheme in ENCRYPTED
        if not is_free and not self._may_go_to(url.scheme, url.host):
            yield request
            return
        token = await self._token_async()
        request.headers["Authorization"] = token.authorization
        response = yield request
        if self._is_rejected(token, response):
            newer = await self._token_async()
            if newer.authorization != token.authorization:
                yield _carrying(newer, response.request)

    def _is_rejected(self, token: Token, response: Response) -> bool:
        """Return whether the token was rejected and the request can be repeated.

        After redirects, that is the last request; it may have been sent without the token.
        """
        if response.status_code != UNAUTHORIZED:
            return False
        if response.request.headers.get("Authorization") != token.authorization:
            return False
        token.note_upstream_status(response.status_code)
        return isinstance(response.request.stream, self.whole)


def _carrying(token: Token, request: Request) -> Request:
    request.headers["Authorization"] = token.authorization
    return request
