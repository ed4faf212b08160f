"""Every interleaving of the small model keeps every invariant; deliberate bugs are found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.services.requests.advance import RequestAdvancer
from shiftwork_core.services.requests.run_jobs import BatchRunner
from shiftwork_platform.guarantees.invariants import Invariant
from tests.model.cases import CASES, Case
from tests.model.exploring import explore
from tests.unit.simulation import block_bugs
from tests.unit.simulation import test_invariants_can_fail as bugs

Patch = pytest.MonkeyPatch

#: The case with everything in it, with one job a step: that is all that these bugs need.
SMALL = Case(widths=(1, 1))
BLOCKS = replace(CASES["blocks"], is_cancelled=False, crashes=0)
FAILURES = replace(CASES["failures"], is_cancelled=False, crashes=0)


@pytest.mark.parametrize("name", CASES)
def test_every_invariant_holds_in_every_interleaving(name: str) -> None:
    found = explore(CASES[name])
    assert found.violation is None, "\n".join([*found.trace, str(found.violation)])
    assert found.is_complete
    assert found.states > 10_000 and found.ends > 10


class Blind:
    """A store that returns every request that has started as one in progress."""

    def __init__(self, store: Any, *, is_batch: bool) -> None:
        self._store = store
        self._is_batch = is_batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get(self, request_id: str) -> Any:
        row = self._store.get(request_id)
        if not self._is_batch and row.current_step == 0:  # It has not started.
            return row
        return replace(row, status=RequestStatus.INPROGRESS)


def nobody_reads_the_cancel(patch: Patch) -> None:
    for service, method in ((RequestAdvancer, "advance"), (BatchRunner, "run")):
        work = getattr(service, method)

        def blindly(self: Any, *args: Any, work: Any = work, **how: Any) -> Any:
            store: Any = Blind(self._records.requests, is_batch=isinstance(self, BatchRunner))
            self._records = replace(self._records, requests=store)
            return work(self, *args, **how)

        patch.setattr(service, method, blindly)


@pytest.mark.parametrize(
    "case, bug, invariant",
    [
        (SMALL, bugs.a_claim_that_lost_counts_as_won, Invariant.ONE_LIVE_FENCE),
        (SMALL, bugs.a_claim_asks_for_no_status, Invariant.ONE_END),
        (SMALL, nobody_reads_the_cancel, Invariant.CANCEL_HOLDS),
        (SMALL, bugs.a_cancel_does_not_sweep, Invariant.SETTLES),
        (SMALL, bugs.a_step_is_settled_while_jobs_are_out, Invariant.BARRIER),
        (SMALL, bugs.a_sweep_finds_nothing, Invariant.SETTLES),
        (BLOCKS, block_bugs.the_next_attempt_at_a_block_does_all_of_it, Invariant.ONE_END),
        (BLOCKS, block_bugs.only_the_last_attempt_at_a_block_has_results, Invariant.EXTRAS_RIGHT),
        (BLOCKS, block_bugs.a_block_is_counted_as_one_job, Invariant.COUNTERS_RIGHT),
        (
            FAILURES,
            bugs.a_failure_ends_its_request_while_others_are_out,
            Invariant.STEP_FINISHES,
        ),
    ],
)
def test_a_bug_is_found_with_the_steps_that_led_to_it(
    case: Case, bug: Callable[[Patch], None], invariant: Invariant, monkeypatch: Patch
) -> None:
    bug(monkeypatch)
    found = explore(case)
    assert found.violation is not None and found.trace
    assert found.violation.invariant is invariant, str(found.violation)
