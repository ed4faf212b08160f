"""Plan a step: derive its jobs from the request's data, and cut them into batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.definitions import JobType, StepSpec
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.templates import Search, TemplateFault, render

#: A step planned from `for_each` may be this wide: more would not fit one planner's time.
MAX_JOBS_PER_STEP = 10_000
#: An inline Map runs this many iterations at once (Step Functions' quotas): more gain nothing.
MAX_INLINE_BATCHES = 40


class PlanFault(Exception):
    """The step cannot be planned from this request's data. Planning again changes nothing."""


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job to insert: its name as people see it, its type, and what its input adds."""

    name: str
    type: str
    item: Json = None
    params: JsonObject | None = None


def plan_jobs(
    spec: StepSpec, params: JsonObject, extras: JsonObject, search: Search
) -> list[PlannedJob]:
    """Return the step's jobs, the same and in the same order for the same data.

    Raises
    ------
    PlanFault
        If a `for_each` yields no list, an expression fails, or the step would be too wide.
    """
    jobs: list[PlannedJob] = []
    for entry in spec.jobs:
        data = {"params": params, "extras": extras}
        items = [None] if entry.for_each is None else _items(entry.for_each, data, search)
        if len(jobs) + len(items) > MAX_JOBS_PER_STEP:
            raise PlanFault(
                f"step {spec.name!r} would have more than {MAX_JOBS_PER_STEP:,} jobs: "
                f"{entry.for_each!r} yields {len(items):,}; group the items"
            )
        for number, item in enumerate(items):
            name = entry.name if entry.for_each is None else f"{entry.name}[{number}]"
            try:
                own = render(entry.params, data | {"item": item}, search)
            except TemplateFault as error:
                raise PlanFault(f"params of job {name!r}: {error}") from error
            jobs.append(PlannedJob(name, entry.type, item, own))
    return jobs


def _items(expression: str, data: JsonObject, search: Search) -> list[Json]:
    try:
        items = search(expression, data)
    except Exception as error:
        raise PlanFault(f"for_each {expression!r} fails: {error}") from error
    if not isinstance(items, list):
        kind = "nothing" if items is None else type(items).__name__
        raise PlanFault(f"for_each {expression!r} must yield a list, and yields {kind}")
    return items


def cut_batches(attempts: Iterable[Attempt], types: Mapping[str, JobType]) -> list[list[str]]:
    """Return the attempts' keys in batches: one type each, at most its `batch_size` long."""
    by_type: dict[str, list[str]] = {}
    for attempt in attempts:
        by_type.setdefault(attempt.type, []).append(str(attempt.key))
    return [
        keys[start : start + types[name].batch_size]
        for name, keys in by_type.items()
        for start in range(0, len(keys), types[name].batch_size)
    ]
