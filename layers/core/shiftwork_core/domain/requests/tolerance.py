"""Failures that a step tolerates: how many jobs of an entry may fail, and whether more do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from fractions import Fraction

from shiftwork_core.domain.requests.definitions import JobSpec, StepSpec
from shiftwork_core.domain.requests.records import Attempt, RequestError


def limit_of(entry: JobSpec, jobs: int) -> int:
    """Return how many of an entry's jobs may fail for good; a share is rounded down."""
    tolerate = entry.tolerate
    if isinstance(tolerate, str):
        return int(Fraction(tolerate.removesuffix("%")) * jobs / 100)
    return tolerate or 0


def most_tolerated(spec: StepSpec, jobs: int) -> int:
    """Return a number of failures that a step of so many jobs tolerates in no case beyond it."""
    return sum(limit_of(entry, jobs) for entry in spec.jobs)


def excess(
    spec: StepSpec,
    tolerant: Iterable[Attempt],
    generation: int,
    step: int,
    failed_job: Callable[[Attempt], Attempt],
) -> RequestError | None:
    """Return the error of a request of whose jobs more have failed than is tolerated; else None.

    `tolerant` are the latest attempts at the jobs, and blocks, whose entries tolerate that. What
    failed before a user's last retry of the request does not count: it is done again. `failed_job`
    returns the job that failed first by such an attempt, with its own error; it is asked once.
    """
    jobs: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    first: dict[str, Attempt] = {}
    for attempt in tolerant:
        name = attempt.entry
        jobs[name] += 1 if attempt.block is None else attempt.block.size
        if attempt.generation != generation or not (count := attempt.failed_jobs):
            continue
        failed[name] += count
        first.setdefault(name, attempt)
    for entry in spec.jobs:
        if failed[entry.name] <= limit_of(entry, jobs[entry.name]):
            continue
        have = "1 has" if failed[entry.name] == 1 else f"{failed[entry.name]:,} have"
        job = failed_job(first[entry.name])
        message = (
            f"of {jobs[entry.name]:,} jobs of {entry.name!r} {have} failed, and {entry.tolerate} "
            f"may; the first is {job.name}"
        )
        if job.error is not None:
            message += f": {job.error.type}: {job.error.message}"
        return RequestError("TooManyFailures", message, step, job.name, job.attempt_id)
    return None
