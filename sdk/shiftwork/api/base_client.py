"""What the sync and the async client share: address, token, what a call sends, its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from shiftwork.api.call import Call
from shiftwork.api.config import Config
from shiftwork.api.errors import ApiError, ShiftworkError, Unreachable
from shiftwork.api.messages import Answer, NoAnswer, Outgoing

T = TypeVar("T")


class BaseClient:
    """What both clients share; a `token` that is set goes with the next call."""

    def __init__(self, url: str | None, token: str | None, timeout_s: float) -> None:
        self.config = Config.load(url, token)
        self.token = self.config.token
        self._timeout_s = timeout_s

    def _limit_s(self, call: Call[Any]) -> float:
        """Return how long the call may take with all its repeats, in seconds."""
        return self._timeout_s + call.extra_s

    def _outgoing(self, call: Call[Any], timeout_s: float) -> Outgoing:
        """Return what one attempt at the call sends."""
        headers = {"Accept": "application/json", "User-Agent": "shiftwork"}
        body = call.text.encode() if call.text is not None else None
        if call.json is not None:
            body = json.dumps(call.json, ensure_ascii=False, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        headers |= call.headers
        if token := call.token or self.token:
            headers["Authorization"] = f"Bearer {token}"
        url = self.config.url.rstrip("/") + call.path + _query(call.query)
        return Outgoing(call.method, url, headers, body, max(timeout_s, 0.001))

    def _read(self, call: Call[T], answer: Answer) -> T:
        """Return the content of the answer.

        Raises
        ------
        ApiError
            If the status is none of success.
        ShiftworkError
            If the answer is not one of Shiftwork's.
        """
        if not answer.is_success:
            raise ApiError.of(answer)
        try:
            return call.read(answer)
        except ValueError as error:
            raise ShiftworkError(
                f"{self.config.url} answers, but not as Shiftwork does",
                "See whether SHIFTWORK_URL is the API's with: shiftwork status",
            ) from error

    def _unreachable(self, error: NoAnswer) -> Unreachable:
        """Return the error for a call that got no answer."""
        unreachable = Unreachable(self.config.url, str(error), is_sent=error.is_sent)
        unreachable.__cause__ = error.__cause__ or error
        return unreachable


def _query(values: Mapping[str, Any]) -> str:
    """Return the query of a URL: lists as repeated names, without what is None."""
    pairs = []
    for name, value in values.items():
        each = value if isinstance(value, (list, tuple)) else [value]
        pairs += [(name, _text(one)) for one in each if one is not None]
    return f"?{urlencode(pairs)}" if pairs else ""


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
