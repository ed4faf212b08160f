"""Deliberate bugs in blocks of jobs, each with the invariant that must notice it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from shiftwork_core.adapters.memory import jobs as memory_jobs
from shiftwork_core.domain.requests import block_jobs, blocks, tolerance
from shiftwork_core.domain.requests.blocks import Block, Judged, Todo
from shiftwork_core.domain.requests.records import Attempt, Request
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.services.requests import block_outcomes, results
from shiftwork_core.services.requests.block_work import BlockWork
from shiftwork_core.services.requests.lines import Lines
from shiftwork_core.services.requests.requests import Requests
from shiftwork_platform.guarantees.invariants import Invariant
from tests.unit.simulation.bugs import Patch, breaks


@breaks(Invariant.ONE_END)
def the_next_attempt_at_a_block_does_all_of_it(patch: Patch) -> None:
    judge = blocks.judge_block

    def everything(block: Block, *given: Any, **rest: Any) -> Judged:
        judged = judge(block, *given, **rest)
        if judged.next is None:
            return judged
        again = Todo(range(block.size), 2)
        return replace(judged, next=replace(judged.next, todo=(again,)))

    patch.setattr(block_outcomes, "judge_block", everything)


@breaks(Invariant.BARRIER)
def a_users_retry_forgets_what_had_not_begun(patch: Patch) -> None:
    again = Block.again

    def forgetful(self: Block, *, is_cancelled: bool) -> Block:
        return again(replace(self, left=()) if self.failed else self, is_cancelled=is_cancelled)

    patch.setattr(Block, "again", forgetful)


@breaks(Invariant.BARRIER)
def a_users_retry_forgets_what_failed_in_earlier_attempts(patch: Patch) -> None:
    judge = blocks.judge_block

    def forgetful(block: Block, *given: Any, **rest: Any) -> Judged:
        return judge(replace(block, failed=()), *given, **rest)

    patch.setattr(block_outcomes, "judge_block", forgetful)


@breaks(Invariant.EXTRAS_RIGHT)
def only_the_last_attempt_at_a_block_has_results(patch: Patch) -> None:
    has_results = results._has_results

    def of_the_last(attempt: Attempt, collects: Any) -> bool:
        return attempt.status is not AttemptStatus.RETRY and has_results(attempt, collects)

    patch.setattr(results, "_has_results", of_the_last)


@breaks(Invariant.LEGAL_MOVES)
def a_completed_request_goes_back_to_its_last_step(patch: Patch) -> None:
    where_to_retry = Requests._where_to_retry

    def last_one(self: Requests, request: Request) -> Any:
        found = where_to_retry(self, request)
        return found and (request.current_step, found[1])

    patch.setattr(Requests, "_where_to_retry", last_one)


@breaks(Invariant.EXTRAS_RIGHT)
def a_lane_brings_its_outcome_under_another_job(patch: Patch) -> None:
    end = BlockWork.end

    def swapped(self: BlockWork, running: Any, outcome: Any) -> None:
        others = [one for one in self.running.values() if one is not running]
        end(self, others[0] if others else running, outcome)

    patch.setattr(BlockWork, "end", swapped)


@breaks(Invariant.TOLERATED)
def one_more_failure_is_tolerated(patch: Patch) -> None:
    limit_of = tolerance.limit_of
    patch.setattr(tolerance, "limit_of", lambda entry, jobs: limit_of(entry, jobs) + 1)


@breaks(Invariant.TOLERATED, near=884)
def what_failed_in_earlier_attempts_at_a_block_is_tolerated_unseen(patch: Patch) -> None:
    def of_the_last(latest: Attempt) -> int:
        is_failed = latest.status is AttemptStatus.FAILURE
        return int(is_failed) if latest.block is None else latest.block.given_up

    patch.setattr(Attempt, "failed_jobs", property(of_the_last))


@breaks(Invariant.COUNTERS_RIGHT)
def a_block_is_counted_as_one_job(patch: Patch) -> None:
    patch.setattr(block_jobs, "counts_of_block", lambda attempt: Counter([attempt.status]))


@breaks(Invariant.COUNTERS_RIGHT)
def the_outcome_of_a_block_is_not_written_with_its_status(patch: Patch) -> None:
    def nothing(attempt: Attempt) -> dict[str, Any]:
        return {"block": attempt.block, "output": None} if attempt.block is not None else {}

    patch.setattr(memory_jobs, "_of_block", nothing)


@breaks(Invariant.EXTRAS_RIGHT)
def the_last_part_of_a_manifest_is_not_kept(patch: Patch) -> None:
    finish = Lines.finish

    def forgetful(self: Lines) -> Any:
        self._held.clear()
        return finish(self)

    patch.setattr(Lines, "finish", forgetful)


@breaks(Invariant.EXTRAS_RIGHT)
def results_that_are_to_go_nowhere_go_into_the_extras(patch: Patch) -> None:
    def everywhere(attempt: Attempt, collects: Any) -> bool:
        if attempt.block is not None:
            return attempt.block.completed > 0
        return attempt.status is AttemptStatus.COMPLETED

    patch.setattr(results, "_has_results", everywhere)
