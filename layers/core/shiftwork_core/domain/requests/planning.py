"""Plan a step: derive its jobs from the request's data, and cut them into batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.budgets import (
    MAX_STEP_BYTES,
    MAX_STEP_NODES,
    MAX_VALUE_BYTES,
    Budget,
    OverBudget,
)
from shiftwork_core.domain.requests.definitions import JobSpec, JobType, StepSpec
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.templates import Renderer, Search, TemplateFault

#: A step planned from `for_each` may be this wide: more would not fit one planner's time.
MAX_JOBS_PER_STEP = 10_000
#: An inline Map runs this many iterations at once (Step Functions' quotas): more gain nothing.
MAX_INLINE_BATCHES = 40
#: A distributed Map runs so many at once, unless a deployment or a job type says less.
MAX_WIDE_BATCHES = 1_000


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
        If a `for_each` yields no list, an expression fails, or the step would be too wide, too
        large, or too costly to plan.
    """
    budget = Budget(nodes=MAX_STEP_NODES, size_bytes=MAX_STEP_BYTES)
    renderer = Renderer(search, budget)
    jobs: list[PlannedJob] = []
    data = {"params": params, "extras": extras}
    for entry in spec.jobs:
        items = [None] if entry.for_each is None else _items(entry.for_each, data, renderer)
        if len(jobs) + len(items) > MAX_JOBS_PER_STEP:
            raise PlanFault(
                f"step {spec.name!r} would have more than {MAX_JOBS_PER_STEP:,} jobs: "
                f"{entry.for_each!r} yields {len(items):,}; group the items"
            )
        for number, item in enumerate(items):
            name = entry.name if entry.for_each is None else f"{entry.name}[{number}]"
            try:
                budget.keep(*budget.weigh(item))
                own = _own_params(entry, data | {"item": item}, renderer, budget)
            except (TemplateFault, OverBudget) as error:
                raise PlanFault(f"params of job {name!r}: {error}") from error
            jobs.append(PlannedJob(name, entry.type, item, own))
    return jobs


def _own_params(
    entry: JobSpec, data: JsonObject, renderer: Renderer, budget: Budget
) -> JsonObject | None:
    """Return the job's params, None if they are the request's."""
    _, _, before = budget.spent
    own: JsonObject | None = renderer.render(entry.params, data)
    _, _, after = budget.spent
    if after - before > MAX_VALUE_BYTES:
        raise OverBudget(f"they have more than {MAX_VALUE_BYTES:,} bytes of text")
    return own


def _items(expression: str, data: JsonObject, renderer: Renderer) -> list[Json]:
    try:
        items = renderer.evaluate(expression, data)
    except TemplateFault as error:
        raise PlanFault(f"for_each: {error}") from error
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


def concurrency_of(types: Iterable[JobType]) -> int:
    """Return how many batches of these types may run at once in a step: the least that one allows.

    0: none of them bounds it.
    """
    return min((t.max_concurrency for t in types if t.max_concurrency), default=0)
