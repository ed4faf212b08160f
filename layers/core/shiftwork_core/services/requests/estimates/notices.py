"""Say which quota or bound a request meets, and what to change: before it hurts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shiftwork_core.domain import quotas
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.blocks import MAX_BLOCK
from shiftwork_core.domain.requests.budgets import MAX_STEP_BYTES
from shiftwork_core.domain.requests.definitions import (
    BLOCK_TARGETS,
    Collect,
    JobSpec,
    JobType,
    RequestType,
)
from shiftwork_core.domain.requests.outcomes import MAX_RESULT_BYTES
from shiftwork_core.domain.requests.planning import MAX_ROWS_PER_STEP
from shiftwork_core.json_input import MAX_PAYLOAD_BYTES
from shiftwork_core.services.requests.estimates.estimate import (
    JOBS_A_SHARD_S,
    Estimate,
    StepEstimate,
)
from shiftwork_core.services.requests.estimates.shapes import Part, Way

#: A batch of blocks begins nothing after that: an Express child's time, and an invocation's.
_EXPRESS_S, _INVOCATION_S = 280, 840
#: A wait for a quota that is worth a line.
_LONG_S = 10.0
#: A step that takes this share of the account's concurrency leaves others too little.
_MOST_OF_CONCURRENCY = 0.8
_OF_PARAMS = re.compile(r"params((?:\.[A-Za-z_]\w*)+)")
#: A list as it stands in params or extras.
_OF_A_LIST = re.compile(r"(params|extras)(?:\.\w+)+")


class Level(StrEnum):
    """What a notice means for the request."""

    #: It runs, but a quota makes it slower, or others suffer.
    WARNING = "warning"
    #: It fails.
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Notice:
    """A quota or bound that is exceeded.

    Attributes
    ----------
    step, job
        Where: `job` is the name of an entry; None: the step as a whole.
    quota
        Its name, for programs.
    figure, bound
        What would be, and what may be.
    message, change
        The same for people, and what to do about it.
    """

    level: Level
    step: str
    job: str | None
    quota: str
    figure: float
    bound: float
    message: str
    change: str


def notices_of(found: Estimate) -> list[Notice]:
    """Return what stands against a request, refusals first.

    Of a step that is refused nothing else is told: it does not come to that.
    """
    notices = [notice for step in found.steps for notice in _of_step(step)]
    notices += _of_lists(found)
    notices += _of_results(found)
    refusals = [notice for notice in notices if notice.level is Level.REFUSAL]
    refused = {notice.step for notice in refusals}
    return refusals + [notice for notice in notices if notice.step not in refused]


def _of_step(step: StepEstimate) -> Iterator[Notice]:
    for part in step.shape.parts:
        yield from _of_part(step.shape.name, part)
    for find in (_of_rows, _of_partition, _of_concurrency, _of_slow_start, _of_long_batch):
        yield from find(step)


def _of_rows(step: StepEstimate) -> Iterator[Notice]:
    shape = step.shape
    if shape.rows > MAX_ROWS_PER_STEP:
        part = max(shape.parts, key=lambda part: part.rows)
        yield Notice(
            Level.REFUSAL,
            shape.name,
            part.entry.name,
            "rows_per_step",
            shape.rows,
            MAX_ROWS_PER_STEP,
            f"the step would have {shape.rows:,} rows of at most {MAX_ROWS_PER_STEP:,}",
            _share_rows(part),
        )
    if step.state_bytes > quotas.STATE_BYTES:
        yield Notice(
            Level.REFUSAL,
            shape.name,
            None,
            "state_bytes",
            step.state_bytes,
            quotas.STATE_BYTES,
            f"the ids of its jobs have {step.state_bytes:,} bytes: a state has at most "
            f"{quotas.STATE_BYTES:,}",
            "give the jobs a block, or the job type a smaller batch_size",
        )


def _of_partition(step: StepEstimate) -> Iterator[Notice]:
    most = quotas.PARTITION_WRITE_UNITS_A_SECOND
    if step.busiest_write_units > most:
        size = max(part.row_bytes for part in step.shape.parts)
        yield Notice(
            Level.WARNING,
            step.shape.name,
            None,
            "partition_write_units",
            step.busiest_write_units,
            most,
            f"rows of {size:,} bytes ask the busiest partition for {step.busiest_write_units:,.0f} "
            f"of {most:,} write units in a second: DynamoDB throttles the calls, and they are "
            "repeated",
            "keep rows under 1 KiB: give jobs keys of what is large, not the thing itself",
        )


def _of_concurrency(step: StepEstimate) -> Iterator[Notice]:
    shape = step.shape
    if shape.at_once >= _MOST_OF_CONCURRENCY * quotas.CONCURRENCY:
        yield Notice(
            Level.WARNING,
            shape.name,
            None,
            "lambda_concurrency",
            shape.at_once,
            quotas.CONCURRENCY,
            f"{shape.at_once:,} batches run at once, for some {step.batch_s:.1f} s each: by default"
            f" an account runs {quotas.CONCURRENCY:,} functions at once, so that Lambda refuses "
            "others meanwhile, the API's too",
            "give the job type a max_concurrency, or the API a reserved concurrency",
        )


def _of_part(step: str, part: Part) -> Iterator[Notice]:
    job_type, load = part.job_type, part.load
    if 0 < job_type.timeout_s < load.duration_s:
        yield Notice(
            Level.REFUSAL,
            step,
            part.entry.name,
            "timeout_s",
            load.duration_s,
            job_type.timeout_s,
            f"jobs of {load.duration_s:g} s end as timed out: {job_type.name} allows "
            f"{job_type.timeout_s:g} s",
            f"give {job_type.name} a longer timeout_s",
        )
    rate = JOBS_A_SHARD_S * job_type.worker.shards
    if job_type.is_polled and part.rows / rate >= _LONG_S:
        yield _slow_queue(step, part.entry, job_type, part.rows)
    if part.is_many and part.jobs * load.item_bytes > MAX_STEP_BYTES and part.list_bytes:
        yield Notice(
            Level.REFUSAL,
            step,
            part.entry.name,
            "step_bytes",
            part.jobs * load.item_bytes,
            MAX_STEP_BYTES,
            f"its items have {_size(part.jobs * load.item_bytes)}: a step is planned from at most "
            f"{_size(MAX_STEP_BYTES)}",
            "take the items from a manifest in S3: for_each_in",
        )


def _of_slow_start(step: StepEstimate) -> Iterator[Notice]:
    shape, rate = step.shape, quotas.STANDARD_CHILDREN_A_SECOND
    if shape.way is Way.WIDE_SLOW and shape.batch_count / rate >= _LONG_S:
        yield Notice(
            Level.WARNING,
            shape.name,
            None,
            "standard_children",
            shape.batch_count,
            rate,
            f"{shape.batch_count:,} batches of jobs that may last over 4 minutes start as Standard"
            f" executions, {rate} a second: the last after {shape.batch_count / rate:.0f} s, at "
            "two transitions each",
            "give the job type a timeout_s of at most 240, or a larger batch_size",
        )


def _of_long_batch(step: StepEstimate) -> Iterator[Notice]:
    shape = step.shape
    has_s = _EXPRESS_S if shape.way is Way.WIDE else _INVOCATION_S
    part = max(
        (alike.part for alike in shape.batches), key=lambda p: p.entry.block or 0, default=None
    )
    if part is not None and part.entry.block is not None and step.batch_s > has_s:
        yield Notice(
            Level.WARNING,
            shape.name,
            part.entry.name,
            "batch_seconds",
            step.batch_s,
            has_s,
            f"a batch of blocks would take {step.batch_s:,.0f} s and has {has_s}: what it has not "
            "begun by then waits for another attempt",
            "make the block smaller, or batch_size larger: so many jobs of a block run at once",
        )


def _of_lists(found: Estimate) -> Iterator[Notice]:
    """Yield what is wrong with lists of items, which lie in the request's params or extras."""
    listed = [
        (step.shape.name, part)
        for step in found.steps
        for part in step.shape.parts
        if part.list_bytes
    ]
    seen = set[str]()
    for step, part in listed:
        expression = part.entry.for_each or ""
        place = _OF_A_LIST.fullmatch(expression)
        if place is None:
            continue  # It may leave some of the items out.
        is_params = place[1] == "params"
        most = MAX_PAYLOAD_BYTES if is_params else MAX_RESULT_BYTES
        if part.list_bytes <= most or expression in seen:
            continue
        seen.add(expression)
        where = "params" if is_params else "extras"
        yield Notice(
            Level.REFUSAL,
            step,
            part.entry.name,
            f"{where}_bytes",
            part.list_bytes,
            most,
            f"{part.jobs:,} items of {part.load.item_bytes:,} bytes are {_size(part.list_bytes)}: "
            f"{where} have at most {_size(most)}",
            "take the items from a manifest in S3: for_each_in"
            if part.job_type.target in BLOCK_TARGETS
            else "make the items smaller, or spread them over several requests",
        )


def _of_results(found: Estimate) -> Iterator[Notice]:
    size = found.load.result_bytes
    parts = [part for step in found.steps for part in step.shape.parts]
    jobs = sum(part.jobs for part in parts if part.entry.collect is Collect.EXTRAS)
    results = jobs * size if size > 2 else 0
    if results > MAX_RESULT_BYTES:
        last = found.steps[-1].shape
        yield Notice(
            Level.WARNING,
            last.name,
            None,
            "extras_bytes",
            results,
            MAX_RESULT_BYTES,
            f"{jobs:,} results of {size:,} bytes are {_size(results)}, and extras have at "
            f"most {_size(MAX_RESULT_BYTES)}: the request fails unless the jobs return the same "
            "keys",
            "give the widest entry collect: manifest or none, or let jobs return where it lies",
        )


def _share_rows(part: Part) -> str:
    block = -(-part.jobs // MAX_ROWS_PER_STEP)
    if part.job_type.target in BLOCK_TARGETS and part.is_many and block <= MAX_BLOCK:
        return f"let jobs share rows: give {part.entry.name!r} block: {_round_up(block)}"
    return "spread the items over several requests"


def _round_up(block: int) -> int:
    """Return a block that leaves some room, such as people write it."""
    return next((n for n in (10, 20, 50, 100, 200, 500) if n >= block), MAX_BLOCK)


def _slow_queue(step: str, entry: JobSpec, job_type: JobType, rows: int) -> Notice:
    rate = JOBS_A_SHARD_S * job_type.worker.shards
    shards = job_type.worker.shards
    return Notice(
        Level.WARNING,
        step,
        entry.name,
        "queue_jobs_a_second",
        rows,
        rate,
        f"a queue of {shards} {'shard' if shards == 1 else 'shards'} lets some {rate:,} jobs a "
        f"second through, however many workers there are: {rows:,} take {rows / rate:,.0f} s or "
        "more",
        f"if that is too slow, give {job_type.name} worker.shards: {min(8, 4 * shards)}"
        if shards < 8
        else "spread the jobs over several job types",
    )


def _size(size: int) -> str:
    if size < 1024 * 1024:
        return f"{size / 1024:,.0f} KiB"
    return f"{size / 1024 / 1024:,.1f} MiB"


# -- how wide a type may be ------------------------------------------------------------------------


def limits_of(
    kind: RequestType, types: Mapping[str, JobType], schema: JsonObject | None
) -> list[Notice]:
    """Return what a request meets that is as wide as its type allows; nothing for narrow types.

    `schema` is that of params: a list that it bounds is no wider. At most one for each entry.
    """
    notices = []
    for step in kind.steps:
        for entry in step.jobs:
            if (notice := _limit_of(step.name, entry, types[entry.type], schema or {})) is not None:
                notices.append(notice)
    return notices


def _limit_of(step: str, entry: JobSpec, job_type: JobType, schema: JsonObject) -> Notice | None:
    if entry.for_each is None or entry.block is not None:
        return None
    most = _most_items(entry.for_each, schema)
    if most is None or most > MAX_ROWS_PER_STEP:
        message = f"beyond {MAX_ROWS_PER_STEP:,} items the step is refused: each job has a row"
        change = "spread such requests"
        if job_type.target in BLOCK_TARGETS:
            change = "for more give it a block, so that jobs share rows"
        if job_type.is_polled and job_type.worker.shards == 1:
            message += f"; and its queue, of one shard, lets some {JOBS_A_SHARD_S} a second through"
            change += f", and give {job_type.name} more worker.shards"
        return Notice(
            Level.REFUSAL,
            step,
            entry.name,
            "rows_per_step",
            most or MAX_ROWS_PER_STEP + 1,
            MAX_ROWS_PER_STEP,
            message,
            change,
        )
    if job_type.is_polled and most / (JOBS_A_SHARD_S * job_type.worker.shards) >= _LONG_S:
        return _slow_queue(step, entry, job_type, most)
    return None


def _most_items(expression: str, schema: JsonObject) -> int | None:
    """Return how many items a list of params may have by their schema; None: any number."""
    found = _OF_PARAMS.fullmatch(expression)
    if found is None:
        return None
    at: object = schema
    for name in found[1].split(".")[1:]:
        at = at.get("properties", {}).get(name) if isinstance(at, dict) else None
    most = at.get("maxItems") if isinstance(at, dict) else None
    return most if isinstance(most, int) else None
