"""What the sync and the async client share: address, token, one httpx request, its answer."""

from __future__ import annotations

from typing import Any, TypeVar

import httpx

from shiftwork.api.call import Call
from shiftwork.api.config import Config
from shiftwork.api.errors import ApiError, ShiftworkError, Unreachable

T = TypeVar("T")


class BaseClient:
    """What both clients share; a `token` that is set goes with the next call."""

    def __init__(self, url: str | None, token: str | None, timeout_s: float) -> None:
        self.config = Config.load(url, token)
        self.token = self.config.token
        self._timeout_s = timeout_s

    def _httpx_settings(self) -> dict[str, Any]:
        """Return the keyword arguments of an httpx client."""
        address = httpx.URL(self.config.url)
        return {
            "base_url": address,
            "headers": {"Accept": "application/json"},
            # A proxy of the environment cannot reach this machine's own addresses.
            "trust_env": address.host not in ("127.0.0.1", "localhost", "::1"),
        }

    def _httpx_arguments(self, call: Call[Any]) -> dict[str, Any]:
        """Return the keyword arguments of one httpx request."""
        token = call.token or self.token
        return {
            "method": call.method,
            "url": call.path,
            "params": call.query or None,
            "json": call.json,
            "content": call.text,
            "headers": {**call.headers, **({"Authorization": f"Bearer {token}"} if token else {})},
            "timeout": self._timeout_s + call.extra_s,
        }

    def _read(self, call: Call[T], response: httpx.Response) -> T:
        """Return the content of the answer.

        Raises
        ------
        ApiError
            If the status is none of success.
        ShiftworkError
            If the answer is not one of Shiftwork's.
        """
        if not response.is_success:
            raise ApiError.of(response)
        try:
            return call.read(response)
        except ValueError as error:
            raise ShiftworkError(
                f"{self.config.url} answers, but not as Shiftwork does",
                "See whether SHIFTWORK_URL is the API's with: shiftwork status",
            ) from error

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        """Return the error for a call that got no answer."""
        is_sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
        reason = str(error) or type(error).__name__
        unreachable = Unreachable(self.config.url, reason, is_sent=is_sent)
        unreachable.__cause__ = error
        return unreachable
