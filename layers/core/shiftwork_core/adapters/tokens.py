"""Page tokens: opaque to callers, a position in an order to the stores."""

from __future__ import annotations

import base64
import json

from shiftwork_core.errors import FaultAt, Invalid


def to_token(*position: str) -> str:
    """Return the token of the page that begins after `position`."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def from_token(token: str, length: int) -> tuple[str, ...]:
    """Return the position that a token names, `length` texts.

    Raises
    ------
    Invalid
        If `to_token` made no such token.
    """
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError:
        raise _refuse() from None
    if (
        not isinstance(position, list)
        or len(position) != length
        or not all(isinstance(part, str) for part in position)
        or to_token(*position) != token
    ):
        raise _refuse()
    return tuple(position)


def _refuse() -> Invalid:
    return Invalid(
        "next_token is not one that this list returned",
        [FaultAt("next_token", "not a page of this list")],
        "start again without next_token",
    )
