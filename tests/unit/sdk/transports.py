"""Put a function in the place of the network, for the client that blocks.

`httpx2.MockTransport` does so for the client for asyncio.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from shiftwork.api.messages import Answer, NoAnswer, Outgoing


class FakeTransport:
    """Answers each call with what the function returns, or raises what it raises."""

    def __init__(self, handle: Callable[[httpx2.Request], httpx2.Response]) -> None:
        self._handle = handle

    def send(self, outgoing: Outgoing) -> Answer:
        request = httpx2.Request(
            outgoing.method,
            outgoing.url,
            content=outgoing.body,
            headers=dict(outgoing.headers),
            extensions={"timeout": {"read": outgoing.timeout_s}},
        )
        try:
            response = self._handle(request)
        except httpx2.TransportError as error:
            is_sent = not isinstance(error, httpx2.ConnectError)
            raise NoAnswer(str(error), is_sent=is_sent) from error
        return Answer.of(
            response.status_code,
            response.headers.items(),
            response.content,
            response.reason_phrase,
        )

    def close(self) -> None:
        """Close nothing."""
