"""What `shiftwork verify` expects of a wide step is what the quota model makes of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from benchmarks.quotas.model import REQUESTS
from benchmarks.quotas.scenarios import Load, Run
from shiftwork.local.verify.figures import FIGURES, Figure, read_expected

EXPECTED = read_expected()
_WRITES = ("put_item", "update_item")
#: The authorizer and the API's function, which are not in the model.
_BESIDE = 2


@pytest.fixture(scope="module")
def modelled() -> Mapping[str, float]:
    """Return the figures of a step in the model, whose rows take a unit a write."""
    run = Run(Load("a step", [0.0], EXPECTED.jobs, batch_size=EXPECTED.batch_size)).play()
    model = run.model

    def writes(table: str) -> int:
        found = model.calls.items()
        return sum(n for (_, call, name), n in found if call in _WRITES and name == table)

    return {
        "job_write_units": writes("JobsTable") / EXPECTED.jobs,
        "request_write_units": writes(REQUESTS),
        "read_units": model.partitions.read_units / EXPECTED.jobs,
        "invocations": _BESIDE
        + sum(model.functions.invocations[name] for name in ("advance_request", "run_jobs")),
        "transitions": model.machine.billed_transitions,
    }


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.key)
def test_the_model_makes_what_is_expected(modelled: Mapping[str, float], figure: Figure) -> None:
    expected, found = EXPECTED.figures[figure.key], modelled[figure.key]
    assert figure.holds(expected, found)
    if figure.key in ("invocations", "transitions"):
        assert found == expected
