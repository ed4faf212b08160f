"""Plan a step: derive its jobs from the request's data, and cut them into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.budgets import (
    MAX_STEP_BYTES,
    MAX_STEP_NODES,
    MAX_VALUE_BYTES,
    Budget,
    OverBudget,
)
from shiftwork_core.domain.requests.definitions import JobSpec, JobType, StepSpec
from shiftwork_core.domain.requests.records import Attempt, Span, batch_name
from shiftwork_core.domain.requests.templates import Renderer, Search, TemplateFault

if TYPE_CHECKING:
    from shiftwork_core.domain.requests.blocks import Block

#: A step may have so many rows, jobs or blocks: more would not fit one planner's time.
MAX_ROWS_PER_STEP = 10_000
#: An inline Map runs this many iterations at once (Step Functions' quotas): more gain nothing.
MAX_INLINE_BATCHES = 40
#: A distributed Map runs so many at once, unless a deployment or a job type says less.
MAX_WIDE_BATCHES = 1_000
#: One invocation does so many blocks, one after the other: fewer if there are few. Each batch costs
#: a transition.
MAX_BLOCKS_A_BATCH = 10


class PlanFault(Exception):
    """The step cannot be planned from this request's data. Planning again changes nothing."""


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job to insert: its name as people see it, its type, and what its input adds.

    With `block` it is a block of jobs: the name is their entry's, the item the list of their items.
    `is_tolerant`: its failure alone fails nobody.
    """

    name: str
    type: str
    item: Json = None
    params: JsonObject | None = None
    block: Block | None = None
    is_tolerant: bool = False


#: Cuts the manifest that a value names into what blocks of so many jobs keep of their items.
CutManifest = Callable[[Json, int], Iterator[tuple[Json, int]]]


def _no_manifests(value: Json, block: int) -> Iterator[tuple[Json, int]]:
    raise PlanFault("for_each_in: there are no manifests here")


def plan_jobs(
    spec: StepSpec,
    params: JsonObject,
    extras: JsonObject,
    search: Search,
    cut_manifest: CutManifest = _no_manifests,
) -> list[PlannedJob]:
    """Return the step's jobs, the same and in the same order for the same data.

    Blocks come last: so a job that has a row of its own is numbered as that is.

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
    for entry in sorted(spec.jobs, key=lambda entry: entry.block is not None):
        if entry.for_each_in is not None:
            slices = cut_manifest(_place(entry.for_each_in, data, renderer), entry.block or 1)
            jobs += _blocks(spec, entry, slices, jobs)
            continue
        items = [None] if entry.for_each is None else _items(entry.for_each, data, renderer)
        if len(jobs) + -(-len(items) // (entry.block or 1)) > MAX_ROWS_PER_STEP:
            raise PlanFault(_too_wide(spec, entry, len(items)))
        if entry.block is None:
            jobs += _jobs(entry, items, data, renderer, budget)
        else:
            jobs += _blocks(spec, entry, _parts(entry, entry.block, items, budget), jobs)
    return jobs


def _jobs(
    entry: JobSpec, items: list[Json], data: JsonObject, renderer: Renderer, budget: Budget
) -> Iterator[PlannedJob]:
    for number, item in enumerate(items):
        name = entry.name if entry.for_each is None else f"{entry.name}[{number}]"
        try:
            budget.keep(*budget.weigh(item))
            own = _own_params(entry, data | {"item": item}, renderer, budget)
        except (TemplateFault, OverBudget) as error:
            raise PlanFault(f"params of job {name!r}: {error}") from error
        yield PlannedJob(name, entry.type, item, own, is_tolerant=entry.tolerate is not None)


def _parts(
    entry: JobSpec, size: int, items: list[Json], budget: Budget
) -> Iterator[tuple[Json, int]]:
    """Cut a list into what its blocks keep, as a manifest is cut."""
    for start in range(0, len(items), size):
        part = items[start : start + size]
        try:
            budget.keep(*budget.weigh(part))
        except OverBudget as error:
            raise PlanFault(f"items of {entry.name!r}: {error}") from error
        yield part, len(part)


def _place(expression: str, data: JsonObject, renderer: Renderer) -> Json:
    try:
        return renderer.evaluate(expression, data)
    except TemplateFault as error:
        raise PlanFault(f"for_each_in: {error}") from error


def _blocks(
    spec: StepSpec, entry: JobSpec, slices: Iterator[tuple[Json, int]], before: list[PlannedJob]
) -> Iterator[PlannedJob]:
    # Few requests have blocks, and each module makes each cold start longer.
    from shiftwork_core.domain.requests.blocks import whole_block

    first_job, first_item = job_count_of(before), 0
    for row, (kept, count) in enumerate(slices, len(before)):
        if row >= MAX_ROWS_PER_STEP:
            raise PlanFault(_too_wide(spec, entry, first_item + count))
        block = whole_block(first_job + first_item, first_item, count)
        is_tolerant = entry.tolerate is not None
        yield PlannedJob(entry.name, entry.type, kept, block=block, is_tolerant=is_tolerant)
        first_item += count


def _too_wide(spec: StepSpec, entry: JobSpec, count: int) -> str:
    what, how = "jobs", f"let jobs share rows: give {entry.name!r} a block"
    if entry.block is not None:
        what, how = "blocks", "make the blocks larger, or the items fewer"
    or_more = " items or more" if entry.for_each_in is not None else ""
    return (
        f"step {spec.name!r} would have more than {MAX_ROWS_PER_STEP:,} {what}: "
        f"{entry.for_each or entry.for_each_in!r} yields {count:,}{or_more}; {how}"
    )


def job_count_of(planned: Iterable[PlannedJob]) -> int:
    """Return how many jobs these are, those of blocks each."""
    return sum(1 if one.block is None else one.block.size for one in planned)


def spans_of(spec: StepSpec, planned: list[PlannedJob]) -> tuple[Span, ...]:
    """Return which of a step's rows are blocks, and of which jobs."""
    rows: dict[str, list[int]] = {}
    for number, one in enumerate(planned):
        if one.block is not None:
            rows.setdefault(one.name, []).append(number)
    return tuple(
        Span(
            first_row=numbers[0],
            first_job=job_count_of(planned[: numbers[0]]),
            block=spec.entry(name).block or 1,
            jobs=job_count_of(planned[number] for number in numbers),
        )
        for name, numbers in rows.items()
    )


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
    """Return the attempts' names in batches: one type each, at most its `batch_size` long.

    Blocks have batches of their own, as short as keeps all that may run at once busy.
    """
    by_kind: dict[tuple[str, bool], list[str]] = {}
    for attempt in attempts:
        kind = (attempt.type, attempt.block is not None)
        by_kind.setdefault(kind, []).append(batch_name(attempt))
    batches: list[list[str]] = []
    for (name, is_blocks), keys in by_kind.items():
        size = types[name].batch_size
        if is_blocks:
            size = min(-(-len(keys) // MAX_WIDE_BATCHES), MAX_BLOCKS_A_BATCH)
        batches += [keys[start : start + size] for start in range(0, len(keys), size)]
    return batches


def concurrency_of(types: Iterable[JobType]) -> int:
    """Return how many batches of these types may run at once in a step: the least that one allows.

    0: none of them bounds it.
    """
    return min((t.max_concurrency for t in types if t.max_concurrency), default=0)
