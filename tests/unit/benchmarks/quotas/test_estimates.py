"""What the product predicts of a request is what the quota model and the emulator count.

Writes, transitions, invocations and calls of S3 are exact. Reads depend on rows' sizes, of which
the model's ids are shorter, and time on what overlaps: these have a tolerance.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.counts import DISTRIBUTED, NARROW, WIDE
from benchmarks.counts import Scenario as Counted
from benchmarks.quotas.measure import MAX_SHARED_S, MAX_SHARED_USD, SHARED
from benchmarks.quotas.scenarios import Load, Run
from shiftwork_core.domain.requests.definitions import JobType, RequestType
from shiftwork_core.services.requests.estimates.estimate import Estimate, estimate
from shiftwork_core.services.requests.estimates.shapes import Workload

_READS, _SECONDS, _USD = 0.35, 0.15, 0.05
_EMULATOR = Path(__file__).parents[4] / "benchmarks" / "results" / "latest.json"
#: The model's clients give no idempotency key; those of the emulator do, which is a row more, in a
#: transaction.
_IDEMPOTENCY_UNITS = 3

LOADS = [
    Load("3 narrow jobs", [0.0], 3),
    Load("3 steps of 20 jobs", [0.0], 20, steps=3, batch_size=10),
    Load("5 batches", [0.0], 41, batch_size=10),
    Load("1,000 jobs", [0.0], 1_000),
    Load("2 steps of 1,000 jobs", [0.0], 1_000, steps=2),
    Load("a distributed Map", [0.0], 410, batch_size=10),
    Load("10,000 jobs in blocks of 100", [0.0], 10_000, batch_size=10, block=100),
]


def predicted(load: Load) -> Estimate:
    entry: dict[str, Any] = {"name": "j", "type": "work", "for_each": "params.items"}
    item_bytes = round(len(json.dumps(list(range(load.width)), separators=(",", ":"))) / load.width)
    if load.block is not None:
        entry = {"name": "j", "type": "work", "for_each_in": "params.items", "block": load.block}
    body = {"steps": [{"name": f"s{n}", "jobs": [entry]} for n in range(load.steps)]}
    work = {"target": "python", "batch_size": load.batch_size}
    return estimate(
        RequestType.from_body("load", 1, body),
        {"work": JobType.from_body("work", 1, work)},
        Workload(load.width, item_bytes=item_bytes - 1),
    )


@dataclass(frozen=True)
class Both:
    """A load as it was counted in the model, and as it is predicted."""

    run: Run
    found: Estimate


@pytest.fixture(scope="module", params=LOADS, ids=lambda load: load.name)
def both(request: pytest.FixtureRequest) -> Both:
    return Both(Run(request.param).play(), predicted(request.param))


def test_writes_are_those_of_the_model(both: Both) -> None:
    units = both.run.model.partitions.units
    written = sum(n for (table, is_write), n in units.items() if is_write and _is_own(table))
    assert both.found.write_units == written


def _is_own(table: str) -> bool:
    """Whether a request writes the table; a load writes its definitions as well."""
    return table != "DefinitionsTable"


def test_transitions_and_children_are_those_of_the_model(both: Both) -> None:
    machine = both.run.model.machine
    assert both.found.transitions == machine.billed_transitions
    is_wide = machine.express_children > 0
    assert is_wide == any(step.shape.way.value == "wide" for step in both.found.steps)


def test_invocations_are_those_of_the_model(both: Both) -> None:
    invocations = both.run.model.functions.invocations
    assert both.found.invocations - 2 == invocations["advance_request"] + invocations["run_jobs"]


def test_calls_of_s3_are_those_of_the_model(both: Both) -> None:
    model, steps = both.run.model, both.found.steps
    assert sum(step.s3_gets for step in steps) == model.s3_gets
    assert sum(step.s3_puts for step in steps) == model.s3_puts


def test_reads_are_about_those_of_the_model(both: Both) -> None:
    assert both.found.read_units == pytest.approx(
        both.run.model.partitions.read_units, rel=_READS, abs=5
    )


def test_no_partition_is_busier_than_predicted(both: Both) -> None:
    """A second may begin in between: then it has some of the insertions and some of the claims."""
    [hot] = both.run.model.partitions.hottest(1)
    assert hot.peak * 1000 <= 1.5 * both.found.busiest_write_units


def test_a_request_takes_about_as_long_as_in_the_model(both: Both) -> None:
    assert both.found.seconds == pytest.approx(both.run.durations_s()[-1], rel=_SECONDS)


def test_a_request_costs_about_as_much_as_in_the_model(both: Both) -> None:
    counted = sum(both.run.usd_a_million_jobs().values()) * both.run.load.jobs / 1e6
    assert sum(both.found.usd.values()) == pytest.approx(counted, rel=_USD)


def test_a_million_jobs_in_blocks_are_predicted_to_hold_their_budgets() -> None:
    found = predicted(SHARED)
    assert found.rows == 10_000
    assert found.seconds < MAX_SHARED_S
    assert sum(found.usd.values()) < MAX_SHARED_USD


@pytest.mark.parametrize("counted", [NARROW, WIDE, DISTRIBUTED], ids=lambda it: it.name)
def test_writes_and_transitions_are_those_that_the_emulator_counted(counted: Counted) -> None:
    details = json.loads(_EMULATOR.read_text())["counts"]["details"][counted.name]
    # On the overloaded emulator some batches came twice, and their claims were refused.
    calls = (call for call in details["calls"] if call["status"] == 200)
    own = [call for call in calls if call["function"] in _OF_A_REQUEST]
    written = sum(call["write_units"] + call["index_units"] for call in own)
    found = predicted(
        Load("", [0.0], counted.width, steps=counted.steps, batch_size=counted.batch_size)
    )
    assert found.write_units + _IDEMPOTENCY_UNITS == pytest.approx(written, rel=0.01)
    assert found.transitions == sum(details["transitions"].values())
    read = sum(call["read_units"] for call in own)
    assert found.read_units == pytest.approx(read, rel=_READS)


_OF_A_REQUEST = {"ApiFunction", "AdvanceRequestFunction", "RunJobsFunction"}
