"""Each invariant notices a deliberate bug."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryJobStore, MemoryRequestStore
from shiftwork_core.domain.requests.planning import PlannedJob, plan_jobs
from shiftwork_core.domain.requests.records import Attempt, Step
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.requests.step_state import StepState
from shiftwork_core.ports.jobs import Claimed, FreeSlot
from shiftwork_core.ports.stores import Created, Recorded, Write
from shiftwork_core.ports.workers import Standing
from shiftwork_core.services.polling import claim
from shiftwork_core.services.polling.claim import QueueClaimer
from shiftwork_core.services.polling.lapsed import LapsedAttempts
from shiftwork_core.services.polling.limits import Limiter
from shiftwork_core.services.polling.tasks import Tasks
from shiftwork_core.services.requests import (
    definitions,
    dispatch,
    outcome_writer,
    plan,
    results,
)
from shiftwork_core.services.requests.barrier import CHECK_UP, StepBarrier
from shiftwork_core.services.requests.call import BatchCalls
from shiftwork_core.services.requests.cancel import Canceller
from shiftwork_core.services.requests.executions import Executions
from shiftwork_core.services.requests.holding import Holder
from shiftwork_core.services.requests.outcome_writer import OutcomeWriter, Recording, Result
from shiftwork_core.services.sweep import Sweeper
from shiftwork_platform.cloud.tracing import Trace
from shiftwork_platform.guarantees.invariants import Invariant
from tests.simulation.simulation import Case, Simulation, run_case
from tests.unit.simulation import block_bugs, counting_bugs, lifecycle_bugs
from tests.unit.simulation.bugs import BUGS, Bug, Patch, breaks

#: How many seeds may pass until a bug is noticed.
SEEDS = 2000


def unconditional(store: MemoryJobStore, attempt: Attempt, *_: Any, **__: Any) -> Attempt | None:
    """Return the row, no matter who holds it."""
    return store._tables.attempt(attempt.request_id, attempt.key)


def arrives_uncounted(patch: Patch, how: Result) -> None:
    """Let nobody count the arrivals of jobs that end so."""
    arrival = outcome_writer._arrival

    def uncounted(attempt: Attempt, result: Result) -> Recording:
        return Recording(result) if result is how else arrival(attempt, result)

    patch.setattr(outcome_writer, "_arrival", uncounted)


@breaks(Invariant.OUTCOME_KEPT)
def an_outcome_is_given_up_when_a_store_does_not_answer(patch: Patch) -> None:
    patch.setattr(Holder, "insist", lambda self, call, may_wait_until: call())


# -- the store's conditions ------------------------------------------------------------------------


@breaks(Invariant.ONE_END)
def a_claim_asks_for_no_status(patch: Patch) -> None:
    def claim(self: Any, request_id: str, key: Any, **values: Any) -> Write[Attempt | None]:
        row = self._tables.attempt(request_id, key)
        if row is None:
            return Write(False, None)
        status = AttemptStatus.INPROGRESS
        claimed = replace(
            row,
            status=status,
            fence=row.fence + 1,
            claim_id=values["claim_id"],
            lease_until=values["lease_until"],
        )
        return Write(True, self._tables.put_attempt(claimed))

    patch.setattr(MemoryJobStore, "claim", claim)


@breaks(Invariant.ONE_LIVE_FENCE)
def a_claim_that_lost_counts_as_won(patch: Patch) -> None:
    claim = MemoryJobStore.claim

    def generous(self: Any, request_id: str, key: Any, **values: Any) -> Write[Attempt | None]:
        write = claim(self, request_id, key, **values)
        is_held = write.row is not None and write.row.status is AttemptStatus.INPROGRESS
        return Write(write.won or is_held, write.row)

    patch.setattr(MemoryJobStore, "claim", generous)


@breaks(Invariant.ONE_END)
def an_outcome_asks_for_no_fence(patch: Patch) -> None:
    patch.setattr(MemoryJobStore, "_held", unconditional)


@breaks(Invariant.LEGAL_MOVES)
def an_insert_asks_for_no_absence(patch: Patch) -> None:
    def insert(self: Any, attempts: Sequence[Attempt]) -> int:
        for attempt in attempts:
            self._tables.put_attempt(attempt)
        return 0

    patch.setattr(MemoryJobStore, "insert", insert)


@breaks(Invariant.ONE_LIVE_FENCE)
def a_successor_is_written_before_its_predecessor_ends(patch: Patch) -> None:
    retry = MemoryJobStore.retry

    def hasty(self: Any, attempt: Attempt, error: Any, successor: Attempt, *rest: Any, **kw: Any):  # type: ignore[no-untyped-def]
        self.insert([successor])
        return retry(self, attempt, error, successor, *rest, **kw)

    patch.setattr(MemoryJobStore, "retry", hasty)


@breaks(Invariant.COUNTERS_RIGHT)
def a_completion_arrives_uncounted(patch: Patch) -> None:
    arrives_uncounted(patch, Result.COMPLETED)


@breaks(Invariant.LEGAL_MOVES, near=500)
def a_request_that_had_not_begun_goes_on_where_it_was(patch: Patch) -> None:
    reopen = MemoryRequestStore.reopen

    def as_it_was(self: Any, seen: Any, *rest: Any) -> Any:
        write = reopen(self, seen, *rest)
        if not write.won:
            return write
        begun = {"current_step": seen.current_step, "started_at": seen.started_at}
        return Write(True, self._won(replace(write.row, **begun)).row)

    patch.setattr(MemoryRequestStore, "reopen", as_it_was)


@breaks(Invariant.COSTS_LITTLE)
def batches_that_die_are_handed_out_again_at_once(patch: Patch) -> None:
    patch.setattr(dispatch, "stall_of", lambda *_: None)
    # They are scheduled: called ones would be handed out again within no time, without end.
    patch.setattr(BatchCalls, "fit", lambda *_: False)


@breaks(Invariant.REQUEST_KEPT)
def a_request_is_answered_before_it_is_written(patch: Patch) -> None:
    patch.setattr(
        MemoryRequestStore,
        "create",
        lambda self, request, key: Created(request, True, key and key.digest),
    )


@breaks(Invariant.RETRY_HOLDS, near=380)
def a_late_cancel_does_not_look_at_its_request(patch: Patch) -> None:
    patch.setattr(MemoryJobStore, "_is_still_failed", lambda self, failed: True)


@breaks(Invariant.ONE_REQUEST_PER_KEY)
def a_key_is_not_looked_up(patch: Patch) -> None:
    create = MemoryRequestStore.create

    def create_anew(self: Any, request: Any, key: Any) -> Any:
        return replace(create(self, request, None), digest=key and key.digest)

    patch.setattr(MemoryRequestStore, "create", create_anew)


@breaks(Invariant.LEGAL_MOVES)
def an_end_asks_for_no_status(patch: Patch) -> None:
    everything = "shiftwork_core.adapters.memory.requests.request_sources"
    patch.setattr(everything, lambda event: list(RequestStatus))


@breaks(Invariant.IN_SIGHT, near=255)
def a_due_time_is_moved_no_matter_who_set_it(patch: Patch) -> None:
    def set_due(self: Any, seen: Any, due_at: Any) -> None:
        row = self._tables.requests[seen.request_id]
        self._tables.put_request(replace(row, due_at=due_at))

    patch.setattr(MemoryRequestStore, "set_due", set_due)


# -- the services ----------------------------------------------------------------------------------


@breaks(Invariant.BARRIER)
def a_step_is_settled_while_jobs_are_out(patch: Patch) -> None:
    patch.setattr(
        StepState,
        "is_settled",
        property(lambda state: not (state.failed or state.runnable)),
    )


@breaks(Invariant.PLANNED_ONCE)
def a_planner_writes_the_steps_row_first(patch: Patch) -> None:
    insert = MemoryJobStore.insert

    def late(self: Any, attempts: Sequence[Attempt]) -> int:
        first = attempts[0]
        if first.key.attempt == 1:
            self._tables.put_step(
                Step(first.request_id, first.key.step, "s", 99, started_at=first.created_at)
            )
        return insert(self, attempts)

    patch.setattr(MemoryJobStore, "insert", late)


@breaks(Invariant.PLANNED_ONCE)
def a_step_has_other_jobs_each_time_it_is_planned(patch: Patch) -> None:
    plan_once = plan_jobs
    calls = count()

    def fewer_every_other_time(*args: Any) -> list[PlannedJob]:
        jobs = plan_once(*args)
        return jobs[: len(jobs) - next(calls) % 2]

    patch.setattr(plan, "plan_jobs", fewer_every_other_time)


@breaks(Invariant.EXTRAS_RIGHT)
def results_of_retried_jobs_are_forgotten(patch: Patch) -> None:
    found = results._results
    patch.setattr(results, "_results", lambda *given: islice(found(*given), 1, None))


@breaks(Invariant.CANCEL_HOLDS)
def a_cancel_does_not_sweep(patch: Patch) -> None:
    patch.setattr(Canceller, "cancel_new", lambda self, ended, until=None: True)


@breaks(Invariant.STEP_FINISHES)
def a_failure_ends_its_request_while_others_are_out(patch: Patch) -> None:
    patch.setattr(StepState, "fails_request", property(lambda state: bool(state.failed)))


@breaks(Invariant.COUNTERS_RIGHT)
def a_failure_arrives_uncounted(patch: Patch) -> None:
    arrives_uncounted(patch, Result.FAILURE)


@breaks(Invariant.SETTLES)
def a_sweep_finds_nothing(patch: Patch) -> None:
    patch.setattr(Sweeper, "sweep", lambda *_: 0)


@breaks(Invariant.SETTLES)
def the_last_completion_wakes_nobody_and_nobody_looks(patch: Patch) -> None:
    patch.setattr(StepBarrier, "_next_look", lambda self, _: self._runtime.clock() + CHECK_UP)
    patch.setattr(StepBarrier, "end_batch", lambda *_, **__: None)
    patch.setattr(StepBarrier, "arrive", lambda *_: None)
    patch.setattr(Step, "has_no_pending_jobs", property(lambda step: False))


@breaks(Invariant.SETTLES)
def polls_read_the_shards_of_the_newest_version_only(patch: Patch) -> None:
    patch.setattr(
        definitions, "_most_shards", lambda _, body: body.get("worker", {}).get("shards", 1)
    )


@breaks(Invariant.DRAINED)
def a_poll_does_not_ask_for_a_drain(patch: Patch) -> None:
    patch.setattr(Tasks, "_standing", lambda *_: Standing.MAY_WORK)


@breaks(Invariant.LIMIT)
def a_slot_is_taken_even_if_held(patch: Patch) -> None:
    patch.setattr(
        Limiter,
        "free_slots",
        lambda self, type, limit, wanted: [FreeSlot(type, n) for n in range(limit)],
    )
    take = MemoryJobStore.claim_limited

    def generous(self: Any, queued: Any, slot: FreeSlot, **values: Any) -> Claimed:
        self._tables.slots.get(slot.type, {}).pop(slot.number, None)
        return take(self, queued, slot, **values)

    patch.setattr(MemoryJobStore, "claim_limited", generous)


@breaks(Invariant.SLOTS_FREE)
def a_dead_holder_keeps_its_slot(patch: Patch) -> None:
    patch.setattr(Limiter, "_dead", lambda self, taken: [])


@breaks(Invariant.PUT_BACK)
def a_put_back_counts_as_a_try(patch: Patch) -> None:
    put_back = MemoryJobStore.put_back

    def costly(self: Any, attempt: Attempt, *rest: Any) -> Recorded:
        put = self._tables.put_attempt
        self._tables.put_attempt = lambda row: put(replace(row, tries=row.tries + 1))
        try:
            return put_back(self, attempt, *rest)
        finally:
            del self._tables.put_attempt

    patch.setattr(MemoryJobStore, "put_back", costly)


@breaks(Invariant.CANCEL_HOLDS)
def nobody_looks_at_the_request_before_a_retry_or_a_claim(patch: Patch) -> None:
    patch.setattr(OutcomeWriter, "goes_on", lambda *_: True)
    patch.setattr(claim, "_is_live", lambda request: request is not None)


@breaks(Invariant.LOST_IS_BACK, near=750)
def nobody_watches_what_workers_hold(patch: Patch) -> None:
    patch.setattr(QueueClaimer, "_hasten", lambda *_: None)


@breaks(Invariant.LOST_IS_BACK, near=12100)
def a_workers_lease_is_watched_by_the_platforms(patch: Patch) -> None:
    patch.setattr(QueueClaimer, "_is_awaited", lambda *_: False)


@breaks(Invariant.POLL_GIVES_BACK)
def a_poll_leaves_what_is_overdue_to_the_sweep(patch: Patch) -> None:
    patch.setattr(LapsedAttempts, "declare_lost", lambda *_: [])


@breaks(Invariant.COSTS_LITTLE)
def a_waiting_execution_does_not_notice_its_twin(patch: Patch) -> None:
    patch.setattr(Executions, "hand_over", lambda *_: None)


def _has_workspaces(seed: int) -> bool:
    return bool(Simulation(Case(seed), Trace(is_kept=False)).workspace_plans)


def test_the_bugs_of_counting_are_registered() -> None:
    of = {bug.__module__ for _, bug, _ in BUGS}
    assert {block_bugs.__name__, counting_bugs.__name__} <= of


def test_every_invariant_has_a_bug_that_breaks_it() -> None:
    assert {invariant for invariant, _, _ in BUGS} == set(Invariant)


@pytest.mark.parametrize("invariant, bug, near", BUGS, ids=[bug.__name__ for _, bug, _ in BUGS])
def test_a_bug_is_noticed(invariant: Invariant, bug: Bug, near: int, monkeypatch: Patch) -> None:
    bug(monkeypatch)
    found: dict[Invariant, int] = {}
    is_of_lifecycle = bug.__module__ == lifecycle_bugs.__name__
    seeds = range(near, near + SEEDS)
    for seed in filter(_has_workspaces, seeds) if is_of_lifecycle else seeds:
        failure = run_case(Case(seed))
        if failure is not None:
            found.setdefault(failure.invariant, seed)
        if invariant in found:
            return
    pytest.fail(f"{SEEDS} seeds do not notice it; they find {found}")
