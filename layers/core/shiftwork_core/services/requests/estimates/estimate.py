"""Predict what a request of a type uses of AWS, step by step, if no job is retried.

Writes, transitions, invocations and batches are those that the engine makes, and tests hold them to
the counts of the quota model and of the emulator. Reads depend on rows' sizes and on how many
environments are new (here all are, as in an account that was idle), time on the assumptions of
`domain.quotas`: tests hold them to a tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from shiftwork_core.domain import prices, quotas
from shiftwork_core.domain.requests.definitions import JobType, RequestType, Target
from shiftwork_core.domain.requests.step_state import is_wide
from shiftwork_core.services.requests.dispatch import EVENTS_PER_BATCH, EVENTS_PER_ROUND
from shiftwork_core.services.requests.estimates.shapes import (
    ROWS_A_LOT,
    Part,
    Shape,
    Way,
    Workload,
    jobs_side_by_side,
)
from shiftwork_core.services.requests.payloads import INLINE_LIMIT_BYTES, SMALL_BYTES

#: As template.yaml has them; a test compares.
ADVANCE_REQUEST_MB, RUN_JOBS_MB, API_MB = 512, 1024, 1024
#: The requests table's write units of a request of one step, its indexes included, of each further
#: step, and of each third of a lease in which a step is planned or settled.
_REQUEST_UNITS, _STEP_UNITS, _ALIVE_UNITS = 14, 4, 3
_ALIVE_EVERY_S = 20.0
#: Of a job that a worker does, all tables and indexes: see docs/reference/figures.md.
_POLLED_UNITS = 8.2
#: A worker's exchange brings so many jobs.
_JOBS_AN_EXCHANGE = 10
#: One shard of a queue takes so many jobs a second, in and out.
JOBS_A_SHARD_S = 500

_CALL_S = prices.CPU_MS_PER_CALL / 1000
_ADVANCE = prices.processor_share(ADVANCE_REQUEST_MB)
_RUN = prices.processor_share(RUN_JOBS_MB)
_COLD_S = quotas.COLD_START_MS / 1000
_ANSWER_S = quotas.DYNAMODB_MS / 1000
#: What an invocation takes that does nothing but begin, and read the request.
_ADVANCE_BASE_S = prices.BASE_MS / 1000 / _ADVANCE + 6 * (_CALL_S / _ADVANCE + _ANSWER_S)
_RUN_BASE_S = prices.BASE_MS / 1000 / _RUN + 4 * (_CALL_S / _RUN + _ANSWER_S)


@dataclass(frozen=True, slots=True)
class StepEstimate:
    """What a step takes.

    Attributes
    ----------
    busiest_write_units
        What the busiest partition of its rows is asked for in its busiest second.
    state_bytes, events
        What AdvanceRequest hands to the state machine, and what the execution's history gets.
    batch_s
        How long the longest batch runs, warm.
    advance_s, run_s
        How long functions are billed for, of AdvanceRequest and of RunJobs.
    seconds
        From the step before it to the step behind it.
    """

    shape: Shape
    write_units: float
    read_units: float
    transitions: int
    advances: int
    busiest_write_units: float
    state_bytes: int
    events: int
    batch_s: float
    advance_s: float
    run_s: float
    seconds: float
    s3_puts: int
    s3_gets: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request takes. `usd` is by kind of use, callbacks' own time in RunJobs included."""

    load: Workload
    steps: tuple[StepEstimate, ...]
    input_bytes: int
    write_units: float
    read_units: float
    transitions: int
    invocations: int
    events: int
    seconds: float
    usd: Mapping[str, float]

    @property
    def jobs(self) -> int:
        """How many jobs it has."""
        return sum(step.shape.jobs for step in self.steps)

    @property
    def rows(self) -> int:
        """How many rows its jobs have."""
        return sum(step.shape.rows for step in self.steps)

    @property
    def busiest_write_units(self) -> float:
        """What the busiest partition is asked for in its busiest second."""
        return max(step.busiest_write_units for step in self.steps)

    @property
    def at_once(self) -> int:
        """How many functions of RunJobs run at once at most."""
        return max(step.shape.at_once for step in self.steps)


def estimate(kind: RequestType, types: Mapping[str, JobType], load: Workload) -> Estimate:
    """Return what a request of the type takes, given the job types that it names."""
    shapes = [Shape(spec, types, load) for spec in kind.steps]
    input_bytes = input_bytes_of(shapes)
    warm, steps = 0, list[StepEstimate]()
    for shape in shapes:
        steps.append(_step(shape, input_bytes, new=max(0, shape.at_once - warm)))
        warm = max(warm, shape.at_once)
    batches = sum(shape.batch_count for shape in shapes)
    advances = 1 + sum(step.advances for step in steps)
    more_steps = len(steps) - 1
    in_row, in_s3 = _stored(input_bytes)
    use = {
        "state_transitions": 3 + sum(step.transitions for step in steps),
        "express_requests": sum(s.batch_count for s in shapes if s.way is Way.WIDE),
        # Each call of the API has one of the authorizer.
        "lambda_requests": 2 * _calls_of_api(shapes) + advances + batches,
        "dynamodb_write_units": _REQUEST_UNITS
        + _STEP_UNITS * more_steps
        + in_row
        + sum(step.write_units for step in steps),
        "dynamodb_read_units": 6 + 4 * more_steps + sum(step.read_units for step in steps),
        "http_api_requests": _calls_of_api(shapes),
        "s3_puts": in_s3 + sum(step.s3_puts for step in steps),
        "s3_gets": sum(step.s3_gets for step in steps),
    }
    return Estimate(
        load,
        tuple(steps),
        input_bytes,
        use["dynamodb_write_units"],
        use["dynamodb_read_units"],
        int(use["state_transitions"]),
        int(use["lambda_requests"]),
        EVENTS_PER_ROUND + sum(step.events for step in steps),
        _COLD_S + _ADVANCE_BASE_S + sum(step.seconds for step in steps),
        _usd(use, steps, advances),
    )


def _usd(use: dict[str, float], steps: list[StepEstimate], advances: int) -> dict[str, float]:
    """Return the dollars of a request, by kind of use."""
    shapes = [step.shape for step in steps]
    calls = int(use["http_api_requests"])
    megabyte_s = (
        (_ADVANCE_BASE_S * advances + sum(step.advance_s for step in steps)) * ADVANCE_REQUEST_MB
        + sum(step.run_s for step in steps) * RUN_JOBS_MB
        + calls * prices.invocations_s(1, 5, API_MB) * API_MB
        + _COLD_S * (API_MB + ADVANCE_REQUEST_MB)
    )
    of_targets = sum(
        part.jobs
        for shape in shapes
        for part in shape.parts
        if part.job_type.target is Target.LAMBDA
    )
    return prices.usd_of(
        {**use, "lambda_requests": use["lambda_requests"] + of_targets},
        lambda_gb_s=megabyte_s / 1024,
        express_s=sum(step.run_s for step in steps if step.shape.way is Way.WIDE),
        log_bytes=use["lambda_requests"] * quotas.LOG_BYTES_PER_INVOCATION,
    )


def _calls_of_api(shapes: list[Shape]) -> int:
    """Return the calls of a submission, and of workers' exchanges."""
    polled = [part for shape in shapes for part in shape.polled]
    return 1 + sum(ceil(part.rows / _JOBS_AN_EXCHANGE) for part in polled)


def input_bytes_of(shapes: list[Shape]) -> int:
    """Return the size of the lists that the entries' items come in, each counted once."""
    lists = {part.entry.for_each: part.list_bytes for shape in shapes for part in shape.parts}
    return sum(lists.values())


def _stored(size: int) -> tuple[int, int]:
    """Return the write units and the PUTs of a value that is kept apart from its row."""
    if size <= SMALL_BYTES:
        return 0, 0
    return (0, 1) if size > INLINE_LIMIT_BYTES else (ceil(size / 1024), 0)


# -- a step --------------------------------------------------------------------------------------


def _step(shape: Shape, input_bytes: int, *, new: int) -> StepEstimate:
    """Return what a step takes of whose environments so many are new."""
    way = shape.way
    is_scheduled = way in (Way.MAP, Way.WIDE, Way.WIDE_SLOW)
    waits = 1 if shape.polled else 0
    # A distributed Map pays one to start each child; a Standard child, which has one state, two.
    of_batches = {Way.MAP: 1, Way.WIDE: 1, Way.WIDE_SLOW: 2}.get(way, 0)
    batch_s = max((_batch_s(alike.part, alike.rows) for alike in shape.batches), default=0.0)
    run_s = new * _COLD_S
    run_s += sum(alike.count * _batch_s(alike.part, alike.rows) for alike in shape.batches)
    planned_s, settled_s = _plan_s(shape), _settle_s(shape)
    waited_s = _run_all_s(shape, batch_s) + (_COLD_S if new else 0.0)
    is_wide_way = way in (Way.WIDE, Way.WIDE_SLOW)
    puts, gets = _objects(shape, input_bytes)
    return StepEstimate(
        shape,
        write_units=_write_units(shape),
        read_units=_read_units(shape, input_bytes),
        transitions=3 * (is_scheduled + waits) + of_batches * shape.batch_count,
        advances=is_scheduled + 2 * waits,
        busiest_write_units=_busiest(shape, batch_s),
        state_bytes=0 if way in (Way.CALLED, Way.WIDE, Way.WIDE_SLOW) else _names_bytes(shape),
        events=(EVENTS_PER_ROUND if is_scheduled or waits else 0)
        + (EVENTS_PER_BATCH * shape.batch_count if way is Way.MAP else 0),
        batch_s=batch_s,
        advance_s=planned_s + settled_s + (waited_s if way is Way.CALLED else 0.0),
        run_s=run_s,
        seconds=planned_s + waited_s + settled_s + (_ADVANCE_BASE_S if is_scheduled else 0.0),
        s3_puts=puts + is_wide_way,
        s3_gets=gets + is_wide_way,
    )


def _write_units(shape: Shape) -> float:
    """Return the units of a step: each row is inserted, claimed, and gets its outcome."""
    units = 0.0
    for part in shape.parts:
        a_row = _POLLED_UNITS if part.job_type.is_polled else 3 * part.units_a_write
        units += a_row * part.rows
    units += _ALIVE_UNITS * sum(s // _ALIVE_EVERY_S for s in (_plan_s(shape), _settle_s(shape)))
    # A batch of a wide step tallies what it did.
    return units + (shape.batch_count if is_wide(shape.jobs) else 0) + bool(shape.polled)


def _read_units(shape: Shape, input_bytes: int) -> float:
    """Return the units of reading a step when it settles, and of what its batches read."""
    row_bytes = max((part.row_bytes for part in shape.parts), default=0)
    settle = sum(ceil(rows * row_bytes / 4096) for rows in shape.lots)
    settle += shape.rows % ROWS_A_LOT == 0  # It asks for another lot.
    readers = 1 + shape.batch_count
    params = readers * ceil(input_bytes / 4096) if _stored(input_bytes)[0] else 0
    definitions = 2 + shape.at_once * (2 if _has_blocks(shape) else 1)
    polled = 2 * sum(part.rows for part in shape.polled)
    # A batch reads the request twice.
    return settle * _looks(shape) + 2 * shape.batch_count + params + definitions + polled


def _has_blocks(shape: Shape) -> bool:
    return any(part.entry.block is not None for part in shape.parts)


def _looks(shape: Shape) -> int:
    """Return how often the rows are read: those of blocks once more, for their results."""
    return 2 if _has_blocks(shape) else 1


def _objects(shape: Shape, input_bytes: int) -> tuple[int, int]:
    """Return the PUTs and GETs of S3 that a step makes, beside those of its Map."""
    puts = sum(part.rows * part.objects_a_row for part in shape.parts)
    gets = puts
    for part in shape.parts:
        # Each block reads its part of the manifest; the planner looks at it, and reads it.
        gets += part.rows + 2 if part.entry.for_each_in is not None else 0
    if _stored(input_bytes)[1]:
        gets += 1 + shape.batch_count
    return puts, gets


def _names_bytes(shape: Shape) -> int:
    """Return the size of the ids of all rows, as the state machine gets them."""
    in_batches = sum(alike.count * alike.rows for alike in shape.batches)
    a_name = len('"0001#000000#0001#block",')
    return in_batches * a_name + shape.batch_count * len('{"jobs":[]},')


def _busiest(shape: Shape, batch_s: float) -> float:
    """Return the units of the second in which a full lot is written most.

    A lot is inserted as fast as one planner can. When its jobs run, all of it is claimed in one
    second, and within the same one it gets its outcomes, unless its jobs last longer.
    """
    rows = max(shape.lots, default=0)
    units = max((part.units_a_write for part in shape.parts), default=1)
    inserted = min(rows, _ADVANCE / _CALL_S)
    side_by_side = rows if shape.at_once * ROWS_A_LOT >= rows else 0
    run = side_by_side * (2 if batch_s < 1.0 else 1)
    return float(max(inserted, run) * units)


# -- time ----------------------------------------------------------------------------------------


def _plan_s(shape: Shape) -> float:
    seconds = shape.rows * _CALL_S / _ADVANCE
    for part in shape.parts:
        if part.entry.for_each_in is not None:
            megabytes = part.jobs * (part.load.item_bytes + 1) / 1e6
            seconds += part.jobs * quotas.CPU_MS_PER_RECORD / 1000 / _ADVANCE
            seconds += (megabytes * quotas.S3_MS_PER_MB + 2 * quotas.OTHER_CALL_MS) / 1000
    return seconds


def _settle_s(shape: Shape) -> float:
    return _looks(shape) * shape.rows * quotas.CPU_MS_PER_ROW / 1000 / _ADVANCE


def _batch_s(part: Part, rows: int) -> float:
    """Return how long an environment that is warm runs a batch."""
    duration_s = part.load.duration_s
    if part.entry.block is None:
        # Its jobs run side by side; each is claimed and recorded.
        waves = ceil(rows / jobs_side_by_side(part))
        return _RUN_BASE_S + 2 * rows * _CALL_S / _RUN + 2 * _ANSWER_S + waves * duration_s
    jobs = min(part.entry.block, part.jobs)
    a_block = 3 * (_CALL_S / _RUN + _ANSWER_S)
    a_block += jobs * quotas.CPU_MS_PER_BLOCK_JOB / 1000 / _RUN
    if part.entry.for_each_in is not None:
        a_block += quotas.OTHER_CALL_MS / 1000 + _CALL_S / _RUN
    a_block += ceil(jobs / jobs_side_by_side(part)) * duration_s
    return _RUN_BASE_S + rows * a_block


def _run_all_s(shape: Shape, batch_s: float) -> float:
    """Return the time from the first batch that is set going to the last that has ended."""
    seconds = 0.0
    if shape.batches:
        waves = ceil(shape.batch_count / shape.at_once)
        seconds = waves * batch_s + _start_s(shape)
    for part in shape.polled:
        # As fast as its queue lets them through; how many workers there are is not known here.
        queued_s = part.rows / (JOBS_A_SHARD_S * part.job_type.worker.shards)
        seconds = max(seconds, queued_s, part.load.duration_s)
    return seconds


def _start_s(shape: Shape) -> float:
    """Return how long Lambda and the state machine take to start all batches."""
    if shape.way is Way.CALLED:
        return quotas.INVOKE_MS / 1000
    rate = {
        Way.WIDE: quotas.EXPRESS_CHILDREN_A_SECOND,
        Way.WIDE_SLOW: quotas.STANDARD_CHILDREN_A_SECOND,
    }.get(shape.way)
    burst_s = 0.0 if rate is None else max(0, shape.batch_count - rate) / rate
    return burst_s + 4 * quotas.TRANSITION_MS / 1000 + quotas.INVOKE_MS / 1000
