"""Writes survive lost replies, throttling and conflicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    LateUpdate,
    LogLine,
    Outage,
    StepStatus,
)
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Throttled, Unavailable
from shiftwork_core.ports.jobs import FreeSlot, Slot
from shiftwork_core.ports.stores import DueRequest, IdempotencyKey, Recorded
from tests.contract.store.conftest import Aws
from tests.contract.store.interfering import Interfering, refusal, timeout
from tests.contract.store.lifecycle_rows import (
    a_job,
    a_line,
    a_workspace,
    acquire,
    inserted,
    naming,
    saved,
)
from tests.contract.store.rows import (
    BROKEN,
    EXTRAS,
    FATAL,
    KEY,
    LEASE,
    NOW,
    OUTPUT,
    SECOND,
    Stores,
    a_request,
    a_step,
    an_attempt,
    successor_of,
)

DUE = NOW + 2 * LEASE
INPROGRESS = RequestStatus.INPROGRESS
ENTERING = a_request("r1", status=INPROGRESS, current_step=1)
RETRIED = AttemptKey(1, 3, 2)
Write = Callable[[Stores], Any]


def begin(stores: Stores) -> None:
    """Write the rows that the writes below begin with."""
    stores.request("new")
    stores.request("r1", status=INPROGRESS, current_step=1)
    stores.request("failed", status=RequestStatus.FAILED)
    stores.requests.add_step(a_step())
    stores.jobs.insert([an_attempt(AttemptKey(1, 9, 1)), waiting(7), waiting(8)])
    stores.claim_queued(waiting(8), slot=FreeSlot("limited", 0))
    for job in range(3):
        stores.claimed(AttemptKey(1, job, 1), is_polled=job == 1)
    stores.claimed(RETRIED)
    saved(stores, a_workspace("w0"))
    inserted(stores)
    stores.blobs.put("r1", "[0]", 32)


def held(job: int) -> Any:
    """Return an attempt of `begin` as its holder sees it."""
    return an_attempt(AttemptKey(1, job, 1), is_polled=job == 1, fence=1, lease_until=NOW + LEASE)


def retried() -> Attempt:
    """Return a retry of `begin` as its holder has it: one that its step's row counts."""
    return an_attempt(RETRIED, fence=1, lease_until=NOW + LEASE)


def waiting(job: int = 7) -> Attempt:
    """Return an attempt of `begin` that waits for a worker."""
    return an_attempt(AttemptKey(1, job, 1), is_polled=True, type="limited")


EVERY_WRITE: dict[str, Write] = {
    "create": lambda s: s.requests.create(a_request("r2"), None),
    "create under a key": lambda s: s.requests.create(a_request("r2"), IdempotencyKey("k", "d")),
    "start": lambda s: s.requests.start("new", NOW, DUE),
    "enter_step": lambda s: s.requests.enter_step(ENTERING, OUTPUT, DUE),
    "finish": lambda s: s.requests.finish("r1", RequestStatus.COMPLETED, NOW, extras=OUTPUT),
    "reopen": lambda s: s.requests.reopen(a_request("failed"), 1, EXTRAS, NOW, DUE),
    "take_over": lambda s: s.requests.take_over(DueRequest("r1", 1, NOW + LEASE), DUE),
    "set_due": lambda s: s.requests.set_due(a_request("r1", status=INPROGRESS), DUE),
    "put_off": lambda s: s.requests.put_off("r1", DUE),
    "note_outage": lambda s: s.requests.note_outage(
        a_request("r1", status=INPROGRESS), Outage(1, NOW)
    ),
    "bring_due_forward": lambda s: s.requests.bring_due_forward("r1", NOW),
    "note_alive": lambda s: s.requests.note_alive("r1", DUE),
    "keep a text": lambda s: s.blobs.put("r1", "[1]", 32),
    "renew a text": lambda s: s.blobs.renew("r1", DUE + 99 * 86_400 * SECOND, 256),
    "postpone_due": lambda s: s.requests.postpone_due("r1", DUE),
    "add_step": lambda s: s.requests.add_step(a_step(2)),
    "close_step": lambda s: s.requests.close_step(a_step(), StepStatus.FAILED, {"new": 1}, NOW),
    "register_waiter": lambda s: s.requests.register_waiter(a_step(), "token", 3),
    "claim": lambda s: s.claim("r1", AttemptKey(1, 9, 1)),
    "renew": lambda s: s.jobs.renew(held(0), DUE),
    "complete, joined": lambda s: s.jobs.complete(held(0), OUTPUT, NOW),
    "complete, polled": lambda s: s.jobs.complete(held(1), OUTPUT, NOW),
    "complete, counted": lambda s: s.jobs.complete(retried(), OUTPUT, NOW),
    "retry": lambda s: s.jobs.retry(held(0), BROKEN, successor_of(held(0)), NOW),
    "fail": lambda s: s.jobs.fail(held(0), BROKEN, NOW, request=FATAL, due_at=DUE),
    "fail alone": lambda s: s.jobs.fail(held(0), BROKEN, NOW, request=None),
    "expire": lambda s: s.jobs.fail(held(1), BROKEN, NOW, request=FATAL, lapsed=True),
    "claim_queued": lambda s: s.claim_queued(waiting()),
    "claim_limited": lambda s: s.claim_queued(waiting(), slot=FreeSlot("limited", 1)),
    "put_back": lambda s: s.jobs.put_back(held(1), OUTPUT, DUE, None),
    "add_late_update": lambda s: s.jobs.add_late_update(
        held(1), LateUpdate(NOW, "FAILED", "w", "")
    ),
    "add_logs": lambda s: s.jobs.add_logs("r1", KEY, [LogLine(NOW, "line")], NOW),
    "free": lambda s: s.limits.free(Slot("limited", 0, "r1.1.8.1", "c1")),
    "cancel": lambda s: s.jobs.cancel([an_attempt(AttemptKey(1, 9, 1))], NOW),
    "forget_wake_up": lambda s: s.jobs.forget_wake_up("r1", AttemptKey(1, 9, 1)),
    "save": lambda s: s.workspaces.save(a_workspace("w0", revision=1)),
    "delete": lambda s: s.workspaces.delete(a_workspace("w0", revision=1)),
    "plan": lambda s: s.lifecycle_jobs.insert_workspace_lifecycle_job(
        a_job("j2", "w0"), naming(a_workspace("w0", revision=1), a_job("j2"))
    ),
    "move": lambda s: s.lifecycle_jobs.update_workspace_lifecycle_job_by_id(
        a_job(revision=1, due_at=DUE), a_workspace(revision=1)
    ),
    "move alone": lambda s: s.lifecycle_jobs.update_workspace_lifecycle_job_by_id(
        a_job(revision=1, due_at=DUE)
    ),
    "cancel a plan": lambda s: s.lifecycle_jobs.update_workspace_lifecycle_job_with_cancel_by_id(
        a_job(revision=1, due_at=None, cancelled_at=NOW), a_workspace(revision=1)
    ),
    "complete it": lambda s: s.lifecycle_jobs.update_workspace_lifecycle_job_with_complete_by_id(
        a_job(revision=1, due_at=None, completed_at=NOW), a_workspace(revision=1)
    ),
    "acquire": lambda s: acquire(s, "c1", "j1"),
    "log": lambda s: s.lifecycle_jobs.insert_workspace_lifecycle_job_logs([a_line(1), a_line(2)]),
    "put": lambda s: s.definitions.put(Definition(Kind.JOB_TYPE, "j", 1, {"a": 1}, "2026")),
}

#: Writes of several rows one after the other: a reply that is lost leaves the rest unwritten.
OF_MANY = {"log"}


def everything(aws: Aws) -> list[Any]:
    """Return all rows, without what differs between two tests' tables."""
    tables = (
        aws.requests_table,
        aws.jobs_table,
        aws.limits_table,
        aws.definitions_table,
        aws.workspaces_table,
        aws.lifecycle_jobs_table,
        aws.lifecycle_logs_table,
    )
    return [sorted(aws.items(table), key=str) for table in tables]


@pytest.mark.parametrize("name", EVERY_WRITE)
def test_a_write_whose_reply_was_lost_lands_once_and_answers_as_if_not_lost(
    aws: Aws, name: str
) -> None:
    write = EVERY_WRITE[name]
    lost = timeout()
    client = Interfering(aws.dynamodb, after=[lost])
    begin(aws.stores())
    with pytest.raises(Unavailable):
        write(aws.stores(client))
    landed = everything(aws)
    answer = write(aws.stores(client))
    assert name in OF_MANY or everything(aws) == landed
    assert answer is None or answer
    assert getattr(answer, "won", True)
    assert getattr(answer, "is_new", True)
    assert not isinstance(answer, Recorded) or answer is Recorded.WON


@pytest.mark.parametrize("name", EVERY_WRITE)
def test_a_write_that_never_arrived_is_transient_and_changes_nothing(aws: Aws, name: str) -> None:
    begin(aws.stores())
    before = everything(aws)
    for error, raised in (
        (refusal("ThrottlingException"), Throttled),
        (refusal("ProvisionedThroughputExceededException"), Throttled),
        (refusal("InternalServerError", http=500), Unavailable),
        (timeout(), Unavailable),
    ):
        with pytest.raises(raised):
            EVERY_WRITE[name](aws.stores(Interfering(aws.dynamodb, before=[error])))
        assert everything(aws) == before


@pytest.mark.parametrize("name", EVERY_WRITE)
def test_a_permanent_refusal_escapes_as_it_is(aws: Aws, name: str) -> None:
    begin(aws.stores())
    error = refusal("ValidationException")
    with pytest.raises(ClientError) as raised:
        EVERY_WRITE[name](aws.stores(Interfering(aws.dynamodb, before=[error])))
    assert raised.value is error


def test_an_insert_whose_reply_was_lost_lands_once(aws: Aws) -> None:
    attempts = [an_attempt(AttemptKey(1, job, 1)) for job in range(20)]
    client = Interfering(aws.dynamodb, after=[timeout()])
    with pytest.raises(Unavailable):
        aws.stores(client).jobs.insert(attempts)
    assert aws.stores(client).jobs.insert(attempts) >= 1
    assert list(aws.stores().jobs.of_step("r1", 1)) == attempts


# -- conflicts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        refusal("TransactionCanceledException", ["TransactionConflict", None]),
        refusal("TransactionCanceledException", ["ConditionalCheckFailed", "TransactionConflict"]),
        refusal("TransactionCanceledException", [None, "ThrottlingError"]),
        refusal("TransactionCanceledException", [None, "ProvisionedThroughputExceeded"]),
        refusal("TransactionInProgressException"),
        refusal("TransactionConflictException"),
    ],
    ids=lambda error: str(error.response.get("CancellationReasons", error.response["Error"])),
)
@pytest.mark.parametrize(
    "name", ["create under a key", "complete, counted", "complete, joined", "plan", "move alone"]
)
def test_a_write_waits_longer_and_longer_while_transactions_conflict(
    aws: Aws, name: str, error: ClientError
) -> None:
    begin(aws.stores())
    waits: list[float] = []
    client = Interfering(aws.dynamodb, before=[error] * 8)
    EVERY_WRITE[name](aws.stores(client, sleep=waits.append))
    assert waits == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5])


def test_a_write_gives_up_when_conflicts_do_not_end(aws: Aws) -> None:
    begin(aws.stores())
    waits: list[float] = []
    client = Interfering(aws.dynamodb, before=[refusal("TransactionConflictException")] * 100)
    with pytest.raises(Throttled):
        aws.stores(client, sleep=waits.append).jobs.fail(held(0), BROKEN, NOW, request=FATAL)
    assert len(waits) == 12
    assert aws.stores().request_row().status is INPROGRESS


def test_a_cancelled_transaction_that_no_condition_explains_escapes(aws: Aws) -> None:
    begin(aws.stores())
    error = refusal("TransactionCanceledException", ["ValidationError", None])
    with pytest.raises(ClientError):
        EVERY_WRITE["fail"](aws.stores(Interfering(aws.dynamodb, before=[error])))


def test_a_transaction_has_the_same_token_whenever_it_is_sent(aws: Aws) -> None:
    begin(aws.stores())
    client = Interfering(aws.dynamodb)
    stores = aws.stores(client)
    for now in (NOW, NOW, NOW + SECOND):
        stores.jobs.retry(retried(), BROKEN, successor_of(retried()), now)
    tokens = [sent["ClientRequestToken"] for sent in client.sent]
    assert tokens[0] == tokens[1] != tokens[2]
    assert {len(token) for token in tokens} == {36}


@dataclass
class Meanwhile(Interfering):
    """A client that does something before the call of that name and number."""

    number: int = 1
    happens: Callable[[], object] = str
    call: str = "transact_write_items"

    def __getattr__(self, name: str) -> Any:
        if name == self.call and self.calls[name] + 1 == self.number:
            self.happens()
        return super().__getattr__(name)


def test_a_step_that_is_planned_just_after_its_jobs_were_to_be_counted_counts_none(
    aws: Aws,
) -> None:
    """The writer that found no row reads it once more, and sees what it has not counted."""
    add_step = aws.stores().requests.add_step
    client = Meanwhile(aws.dynamodb, call="get_item", happens=lambda: add_step(a_step()))
    assert aws.stores(client).requests.count_arrivals("r1", 1, 1) is None
    assert client.calls["get_item"] == 1
    assert aws.stores().step_row() == a_step()


def test_a_loser_sees_the_winner_where_the_answer_leaves_the_row_out(aws: Aws) -> None:
    """Some emulators leave it out; the store reads the row instead."""
    winner = aws.stores().claimed()
    refused = refusal("ConditionalCheckFailedException")
    write = aws.stores(Interfering(aws.dynamodb, before=[refused])).jobs.claim(
        "r1", KEY, claim_id="c2", worker_id="w2", now=NOW, lease_until=DUE
    )
    assert (write.won, write.row) == (False, winner)


def test_a_row_that_expires_while_it_is_written_is_lost_or_written_again(aws: Aws) -> None:
    """The row that caused the refusal is gone when it is read."""
    refused = refusal("ConditionalCheckFailedException")

    def refusing() -> Stores:
        return aws.stores(Interfering(aws.dynamodb, before=[refused]))

    assert not refusing().tokens.use("t1", "call-1", NOW)
    assert refusing().limits.reserve("limited", NOW, 3, 4, DUE) == (3, 3)


def test_a_loser_needs_no_second_read(aws: Aws) -> None:
    aws.stores().claimed()
    client = Interfering(aws.dynamodb)
    assert aws.stores(client).claim("r1", KEY, "c2") is None
    assert client.calls == {"update_item": 1}
