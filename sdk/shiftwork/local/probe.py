"""Check whether an address answers over HTTP."""

from __future__ import annotations

from contextlib import closing

from shiftwork.api.http_transport import HttpTransport
from shiftwork.api.messages import NoAnswer, Outgoing


def status_of(url: str, token: str = "") -> int | None:
    """Return the status of the answer to a GET; None if no answer comes."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with closing(HttpTransport()) as transport:
        try:
            return transport.send(Outgoing("GET", url, headers, None, 30.0)).status
        except NoAnswer:
            return None
