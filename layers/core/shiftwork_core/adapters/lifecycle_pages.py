"""Make pages of lifecycle jobs from an index that holds only their positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from shiftwork_core.domain.workspaces.records import JobState, LifecycleJob
from shiftwork_core.page_tokens import lifecycle_token
from shiftwork_core.ports.stores import Page
from shiftwork_core.ports.workspaces import MOST_LOOKED_AT


def jobs_to_look_at(state: JobState | None, limit: int) -> int:
    """Return how many jobs a page reads at most: more than `limit` if it filters by state."""
    return limit if state is None else max(limit, MOST_LOOKED_AT)


def page_of_jobs(
    positions: Iterator[str],
    read: Callable[[list[str]], Mapping[str, LifecycleJob]],
    state: JobState | None,
    limit: int,
) -> Page[LifecycleJob]:
    """Return the page that begins with the first position.

    Parameters
    ----------
    read:
        Returns jobs by id, without those that have expired: the index may still list them.
    """
    most = jobs_to_look_at(state, limit)
    found = list(islice(positions, most + 1))
    looked_at = found[:most]
    jobs = read([_id_at(position) for position in looked_at])
    page: list[LifecycleJob] = []
    for number, position in enumerate(looked_at, start=1):
        job = jobs.get(_id_at(position))
        if job is None or state not in (None, job.state):
            continue
        page.append(job)
        if len(page) == limit:
            return Page(page, lifecycle_token(position) if number < len(found) else None)
    return Page(page, lifecycle_token(looked_at[-1]) if len(found) > most else None)


def _id_at(position: str) -> str:
    return position.partition("#")[2]
