"""Complete ids and types in a shell, by what the configured Shiftwork lists.

A shell waits for the answer, and shows whatever is written: so a list is one page, there is one
short try, and whatever fails completes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient

#: How long a shell waits at most, in seconds.
_WITHIN_S = 1.0
#: So many candidates are offered.
_MOST = 100

#: What can be typed, and what is said of it.
Candidate = tuple[str, str]
Listed = Callable[["ShiftworkClient"], Iterable[Candidate]]


def requests(incomplete: str) -> list[Candidate]:
    """Return the newest requests whose ids begin so, and `last`."""

    def listed(client: ShiftworkClient) -> Iterator[Candidate]:
        yield "last", "the newest request"
        for one in client.list(limit=_MOST)["items"]:
            yield one["request_id"], f"{one['type']}, {one['status']}"

    return _complete(listed, incomplete)


def request_types(incomplete: str) -> list[Candidate]:
    """Return the request types whose names begin so."""
    return _complete(lambda client: _types(client, ("request-type",)), incomplete)


def types(incomplete: str) -> list[Candidate]:
    """Return the request types and job types whose names begin so."""
    return _complete(lambda client: _types(client, ("request-type", "job-type")), incomplete)


def workers(incomplete: str) -> list[Candidate]:
    """Return the workers whose ids begin so."""
    return _complete(
        lambda client: ((one["worker_id"], one["status"]) for one in client.workers()), incomplete
    )


def workspaces(incomplete: str) -> list[Candidate]:
    """Return the workspaces whose names begin so."""
    return _complete(
        lambda client: ((one["workspace_id"], one["state"]) for one in client.workspaces()),
        incomplete,
    )


def lifecycle_jobs(incomplete: str) -> list[Candidate]:
    """Return the newest lifecycle jobs whose ids begin so, and `last`."""

    def listed(client: ShiftworkClient) -> Iterator[Candidate]:
        yield "last", "the newest lifecycle job"
        for one in client.lifecycle_jobs():
            yield one["id"], f"{one['operation']} {one['workspace_id']}, {one['state']}"

    return _complete(listed, incomplete)


def _types(client: ShiftworkClient, kinds: Iterable[str]) -> Iterator[Candidate]:
    from shiftwork.api.calls.definitions import TYPES

    for kind in TYPES:
        if kind in kinds:
            yield from ((one["name"], kind) for one in client.definitions(kind))


def _complete(listed: Listed, incomplete: str) -> list[Candidate]:
    from shiftwork.cli import connection

    found: list[Candidate] = []
    with suppress(Exception), connection.connect_briefly(_WITHIN_S) as client:
        for candidate in islice(listed(client), _MOST):
            if candidate[0].startswith(incomplete):
                found.append(candidate)
    return found
