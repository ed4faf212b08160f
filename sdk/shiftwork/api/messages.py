"""The messages of a call over HTTP: what is sent, what is answered, and that no answer came.

Every transport takes an `Outgoing` and returns an `Answer`, or raises `NoAnswer`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

#: This machine's own addresses, which no proxy can reach.
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class Outgoing(NamedTuple):
    """What one attempt at a call sends; `timeout_s` is how long its answer may take, in seconds."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout_s: float


class Answer(NamedTuple):
    """What came back; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = ""

    @classmethod
    def of(
        cls, status: int, headers: Iterable[tuple[str, str]], body: bytes, reason: str
    ) -> Answer:
        """Return the answer with these headers, whose names may be in any case."""
        return cls(status, {name.lower(): value for name, value in headers}, body, reason)

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none becomes a replacement character."""
        return self.body.decode("utf-8", "replace")

    def header(self, name: str) -> str:
        """Return the header, whose name may be in any case; an empty text if there is none."""
        return self.headers.get(name.lower(), "")

    def json(self) -> Any:
        """Return the body's JSON value.

        Raises
        ------
        ValueError
            If the body is no JSON.
        """
        return json.loads(self.text)


class NoAnswer(Exception):
    """No answer came. `is_sent`: the call may have arrived all the same."""

    def __init__(self, reason: str, *, is_sent: bool) -> None:
        super().__init__(reason)
        self.is_sent = is_sent


class Transport(Protocol):
    """Sends the calls of the client that blocks."""

    def send(self, outgoing: Outgoing) -> Answer:
        """Return the answer.

        Raises
        ------
        NoAnswer
            If none comes.
        """

    def close(self) -> None:
        """Close the connections."""
