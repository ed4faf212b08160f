"""Make and read page tokens: the position of the last row on a page, opaque to callers."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.times import from_iso, to_iso
from shiftwork_core.errors import FaultAt, Invalid

if TYPE_CHECKING:  # Functions that list no lifecycle jobs need not import their records.
    from shiftwork_core.domain.workspaces.records import LifecycleJob


def request_position(request: Request) -> tuple[str, str]:
    """Return a request's position in the list of requests, which begins with the greatest."""
    return to_iso(request.created_at), request.request_id


def request_token(request: Request) -> str:
    """Return the token of the page that follows a request."""
    return to_token(list(request_position(request)))


def read_request_token(token: str) -> tuple[str, str]:
    """Return the position of the request that the page follows.

    Raises
    ------
    Invalid
        If it is not a token of a list of requests.
    """
    try:
        created_at, request_id = from_token(token)
        from_iso(created_at)
    except ValueError:
        raise refuse() from None
    return created_at, request_id


def lifecycle_position(job: LifecycleJob) -> str:
    """Return a job's position in lists of lifecycle jobs, which begin with the greatest.

    No two jobs share a position, even if the scheduler makes a thousand of them at one time.
    """
    return f"{to_iso(job.created_at)}#{job.id}"


def lifecycle_token(position: str) -> str:
    """Return the token of the page that follows a lifecycle job's position."""
    return to_token([position])


def read_lifecycle_token(token: str) -> str:
    """Return the position of the lifecycle job that the page follows.

    Raises
    ------
    Invalid
        If it is not a token of a list of lifecycle jobs.
    """
    try:
        (position,) = from_token(token)
        created_at, _, job_id = position.partition("#")
        from_iso(created_at)
    except ValueError:
        raise refuse() from None
    if not job_id:
        raise refuse()
    return position


def to_token(position: list[str]) -> str:
    """Return the token of a position."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def from_token(token: str) -> list[str]:
    """Return the position that a token stands for.

    Raises
    ------
    ValueError
        If it is not a token of a position.
    """
    padded = token + "=" * (-len(token) % 4)
    position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    if not isinstance(position, list) or not all(isinstance(part, str) for part in position):
        raise ValueError("not a position")
    return position


def refuse() -> Invalid:
    """Return the refusal of a token that its list did not return."""
    return Invalid(
        "next_token is not one that this list returned",
        [FaultAt("next_token", "not a page of this list")],
        "start again without next_token",
    )
