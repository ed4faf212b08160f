"""Build the client with which the commands call the API."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.messages import Answer, Outgoing, Transport

#: After how long without an answer people are told that the command still waits, in seconds.
_SILENCE_S = 3.0


def connect() -> ShiftworkClient:
    """Return a client for the configured Shiftwork; tests put their own in its place."""
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.http_transport import HttpTransport

    return ShiftworkClient(transport=Telling(HttpTransport()))


def connect_briefly(within_s: float) -> ShiftworkClient:
    """Return a client that waits so long at most and tells nobody of it, for completion."""
    from shiftwork.api.client import ShiftworkClient

    return ShiftworkClient(timeout_s=within_s)


class Telling:
    """Sends calls, and says on stderr, once, that an answer is late."""

    def __init__(self, inner: Transport, silence_s: float = _SILENCE_S) -> None:
        self._inner = inner
        self._silence_s = silence_s
        self._has_told = False

    def send(self, outgoing: Outgoing) -> Answer:
        """Return the answer, or raise NoAnswer as the transport within does."""
        timer = threading.Timer(self._silence_s, self._tell, [outgoing])
        timer.daemon = True
        timer.start()
        try:
            return self._inner.send(outgoing)
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _tell(self, outgoing: Outgoing) -> None:
        if not self._has_told:
            self._has_told = True
            url = urlsplit(outgoing.url)
            typer.echo(
                f"{url.scheme}://{url.netloc} has not answered for {self._silence_s:.0f} s; "
                f"still waiting (up to {outgoing.timeout_s:.0f} s)",
                err=True,
            )
