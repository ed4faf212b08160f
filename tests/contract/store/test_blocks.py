"""Rows of blocks: what has become of their jobs is written with the lease, and with the outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.blocks import Block, Todo, whole_block
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.ports.stores import Recorded
from tests.contract.store.rows import (
    BROKEN,
    FATAL,
    LEASE,
    NOW,
    OUTPUT,
    Stores,
    a_step,
    an_attempt,
    successor_of,
)

LATER = NOW + LEASE
BLOCK = whole_block(0, 0, 9)
FURTHER = Block(0, 0, 9, (Todo(range(9)),), (range(2),), begun=7, completed=3, given_up=2)
RESULTS = Payload('{"empty":[[2,5]]}')


def renew(stores: Stores, attempt: Attempt) -> bool:
    return stores.jobs.renew(attempt, LATER)


def complete(stores: Stores, attempt: Attempt) -> Recorded:
    return stores.jobs.complete(attempt, RESULTS, LATER)


def retry(stores: Stores, attempt: Attempt) -> Recorded:
    return stores.jobs.retry(attempt, BROKEN, successor_of(attempt), LATER)


def fail(stores: Stores, attempt: Attempt) -> Recorded:
    return stores.jobs.fail(attempt, BROKEN, LATER, request=FATAL, due_at=LATER)


def fail_alone(stores: Stores, attempt: Attempt) -> Recorded:
    return stores.jobs.fail(attempt, BROKEN, LATER, request=None)


@pytest.mark.parametrize("write", [renew, complete, retry, fail, fail_alone])
def test_what_is_known_of_a_blocks_jobs_is_written_with_its_lease_and_its_outcome(
    stores: Stores, write: Any
) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    stores.requests.add_step(a_step())
    held = stores.claimed(block=BLOCK, item=Payload("[]"))
    assert write(stores, replace(held, block=FURTHER, output=RESULTS)) in (True, Recorded.WON)
    row = stores.row(held)
    assert (row.block, row.output) == (FURTHER, RESULTS)


@pytest.mark.parametrize("write", [renew, retry, fail, fail_alone])
def test_what_a_job_with_a_row_of_its_own_has_reported_stays_whoever_writes(
    stores: Stores, write: Any
) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    stores.requests.add_step(a_step())
    reported = stores.attempt(status=AttemptStatus.INPROGRESS, fence=1, output=OUTPUT)
    assert write(stores, replace(reported, output=None)) in (True, Recorded.WON)
    assert stores.row(reported).output == OUTPUT


@pytest.mark.parametrize("status", AttemptStatus)
def test_a_list_of_one_status_has_the_blocks_of_all_of_them(
    stores: Stores, status: AttemptStatus
) -> None:
    stores.jobs.insert(
        [
            an_attempt(AttemptKey(1, job, 1), status=of_row, block=block)
            for job, (of_row, block) in enumerate(
                (of_row, block) for of_row in AttemptStatus for block in (None, BLOCK)
            )
        ]
    )
    found = stores.jobs.find("r1", range(1, 2), status, 100, None).items
    assert [a.status for a in found if a.block is not None] == list(AttemptStatus)
    assert [a.status for a in found if a.block is None] == [status]
