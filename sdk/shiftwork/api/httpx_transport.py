"""Send the calls of the client for asyncio with httpx2."""

from __future__ import annotations

import httpx2

from shiftwork.api.messages import LOCAL_HOSTS, Answer, NoAnswer, Outgoing


class HttpxTransport:
    """Sends calls to a URL; `inner` takes the place of the network in tests."""

    def __init__(self, url: str, inner: httpx2.AsyncBaseTransport | None = None) -> None:
        # A proxy of the environment cannot reach this machine's own addresses.
        is_local = httpx2.URL(url).host in LOCAL_HOSTS
        self._client = httpx2.AsyncClient(transport=inner, trust_env=not is_local)

    async def send(self, outgoing: Outgoing) -> Answer:
        """Return the answer.

        Raises
        ------
        NoAnswer
            If none comes.
        """
        try:
            response = await self._client.request(
                outgoing.method,
                outgoing.url,
                content=outgoing.body,
                headers=outgoing.headers,
                timeout=outgoing.timeout_s,
            )
        except httpx2.TransportError as error:
            is_sent = not isinstance(
                error,
                (
                    httpx2.ConnectError,
                    httpx2.ConnectTimeout,
                    httpx2.ProxyError,
                    httpx2.PoolTimeout,
                    httpx2.UnsupportedProtocol,
                ),
            )
            raise NoAnswer(str(error) or type(error).__name__, is_sent=is_sent) from error
        return Answer.of(
            response.status_code,
            response.headers.items(),
            response.content,
            response.reason_phrase,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
