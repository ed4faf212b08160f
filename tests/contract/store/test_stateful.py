"""The DynamoDB stores answer as the model does, for any calls in any order.

Hypothesis draws calls of every method of the ports, from rows as they are and as they once were,
sends many of them twice or again much later, and compares every answer, and at the end all that
the tables hold. A failing run is shrunk to a few calls and printed as such.

`SHIFTWORK_STATEFUL_EXAMPLES=2000` draws that many other examples than the fixed ones of
`make test`.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections import Counter
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    rule,
    run_state_machine_as_test,
)

from shiftwork_core.adapters.dynamodb import conditions
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    Outage,
    Request,
    Stall,
    Step,
    StepStatus,
)
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.ports import jobs, stores, workers, workspaces, world
from shiftwork_core.ports.stores import DueRequest, IdempotencyKey, Lane
from tests.contract.store.conftest import ENDPOINT, Aws
from tests.contract.store.drawing import (
    Machine,
    attempt_statuses,
    blocks,
    counts,
    creations,
    job_errors,
    keys,
    limits,
    moments,
    on_failures,
    optional_moments,
    payloads,
    request_errors,
    request_ids,
    sampled,
    shards,
    steps,
    texts,
)
from tests.contract.store.lifecycle_rules import LIFECYCLE_TO_MEET, LifecycleRules
from tests.contract.store.pair import FAR, PORTS, methods_of
from tests.contract.store.polled_rules import PolledRules
from tests.contract.store.rows import (
    ALL_STEPS,
    LEASE,
    NOW,
    Stores,
    a_request,
    a_step,
    an_attempt,
    successor_of,
)

EXAMPLES = os.environ.get("SHIFTWORK_STATEFUL_EXAMPLES")


#: Answers that a long run must see at least once, so that no rule is idle.
_WRITES = ("start", "enter_step", "finish", "reopen", "take_over", "add_step", "register_waiter")
PUT_OFFS = ("requests.put_off", "jobs.put_off_wake_up", "workers.put_off")
TO_MEET = [
    *((f"requests.{method}", answer) for method in _WRITES for answer in ("won", "lost")),
    *(("requests.create", answer) for answer in ("new", "known")),
    *((f"requests.{method}", "NotFound") for method in ("start", "register_waiter")),
    *((f"requests.{m}", a) for m in ("close_step", "postpone_due") for a in ("True", "False")),
    *((f"requests.{m}", a) for m in ("find", "due") for a in ("some", "none")),
    *((f"jobs.{m}", a) for m in ("find", "attempts_to_wake") for a in ("some", "none")),
    *((f"{port}.find", "Invalid") for port in ("requests", "jobs")),
    *(("jobs.insert", answer) for answer in ("some", "none")),
    *(("jobs.claim", answer) for answer in ("won", "lost")),
    *(("jobs.renew", answer) for answer in ("True", "False")),
    *(("jobs.cancel", answer) for answer in ("some", "none")),
    *((f"jobs.{m}", a) for m in ("complete", "retry", "fail") for a in ("won", "stale")),
    ("jobs.fail", "ended"),
    *(("definitions.put", answer) for answer in ("True", "False")),
    ("blobs.get", "NotFound"),
    ("blobs.get_bytes", "NotFound"),
    ("requests.note_alive", "none"),
    *(("requests.tally", answer) for answer in ("some", "none")),
    ("requests.count_arrivals", "row"),
    ("requests.count_arrivals", "none"),
    *(
        (f"jobs.{m}", a)
        for m in ("queued", "queue_size", "queue_head", "claim_queued", "logs")
        for a in ("some", "none")
    ),
    *(("jobs.claim_limited", answer) for answer in ("won", "lost", "slot lost")),
    *(("jobs.put_back", answer) for answer in ("won", "stale")),
    *((f"limits.{m}", a) for m in ("slots", "reserve", "used") for a in ("some", "none")),
    *(("workers.save", answer) for answer in ("won", "lost")),
    *((f"{m}", a) for m in ("workers.delete", "tokens.use") for a in ("True", "False")),
    *((f"workers.{m}", a) for m in ("all", "find", "watched") for a in ("some", "none")),
    *((m, a) for m in PUT_OFFS for a in ("row", "none")),
    *LIFECYCLE_TO_MEET,
]


class LifecycleAgrees(LifecycleRules):
    """Calls of the ports for workspaces, in any order; they share no row with the others."""


class StoresAgree(PolledRules):
    """Calls of the other ports, in any order."""

    # -- something to begin with -----------------------------------------------------------------

    @initialize(data=st.data(), is_polled=st.booleans(), attempt=sampled(1, 2), ends=on_failures)
    def run_a_job(self, data: st.DataObject, is_polled: bool, attempt: int, ends: Any) -> None:
        """Begin with a request in progress, and mostly with a job of it that is held."""
        self.write(data, "requests", "create", a_request(), IdempotencyKey("k1", "d1"))
        self.write(data, "requests", "start", "r1", NOW, NOW + LEASE)
        if data.draw(st.booleans(), "is planned"):
            self.write(data, "requests", "add_step", a_step(job_count=2))
        block = None if is_polled else data.draw(blocks, "block")
        first = an_attempt(AttemptKey(1, 0, attempt), is_polled=is_polled, on_failure=ends)
        first = replace(first, block=block, item=block and Payload("[1,2]"))
        second = an_attempt(AttemptKey(1, 1, 1), is_polled=True, on_failure=ends)
        self.write(data, "jobs", "insert", [first, second])
        for row in data.draw(sampled([], [first], [first, second]), "claimed"):
            if row.is_polled and data.draw(st.booleans(), "into a slot"):
                self.claim_into_slot(data, row)
            else:
                self._claim(data, row.request_id, row.key, "c1", NOW, NOW + LEASE)
        end = data.draw(sampled(*[None] * 4, RequestStatus.FAILED, RequestStatus.CANCELLED), "end")
        if end is not None:
            self.write(data, "requests", "finish", "r1", end, NOW)

    # -- requests --------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        request_id=request_ids,
        created_at=creations,
        start_at=optional_moments,
        type=sampled("index-documents", "report"),
        key=st.none() | st.builds(IdempotencyKey, sampled("k1", "k2"), sampled("d1", "d2")),
        due_at=optional_moments,
        params=payloads,
    )
    def create(self, data: st.DataObject, request_id: str, key: Any, **values: Any) -> None:
        values |= {"correlation_id": data.draw(sampled(None, "c")), "priority": 2}
        request = a_request(request_id, **values)
        self.write(data, "requests", "create", request, key)

    @rule(data=st.data(), request_id=request_ids, now=moments, due_at=moments)
    def start(self, data: st.DataObject, request_id: str, now: Any, due_at: Any) -> None:
        self.write(data, "requests", "start", request_id, now, due_at)

    @rule(data=st.data(), extras=payloads, due_at=moments)
    def enter_step(self, data: st.DataObject, extras: Payload, due_at: Any) -> None:
        seen = self.draw_row(data, Request, a_request(), (RequestStatus.INPROGRESS,))
        self.write(data, "requests", "enter_step", seen, extras, due_at)

    @rule(
        data=st.data(),
        request_id=request_ids,
        status=sampled(RequestStatus.COMPLETED, RequestStatus.CANCELLED, RequestStatus.FAILED),
        now=moments,
        error=st.none() | request_errors,
        extras=st.none() | payloads,
        due_at=optional_moments,
    )
    def finish(
        self, data: st.DataObject, request_id: str, status: Any, now: Any, **rest: Any
    ) -> None:
        if data.draw(st.booleans(), "has seen it"):
            rest["seen"] = self.draw_row(data, Request, a_request())
        self.write(data, "requests", "finish", request_id, status, now, **rest)

    @rule(data=st.data(), now=moments, due_at=moments)
    def reopen(self, data: st.DataObject, now: Any, due_at: Any) -> None:
        ended = (RequestStatus.FAILED, RequestStatus.COMPLETED)
        seen = self.draw_row(data, Request, a_request(), ended)
        step, extras = data.draw(steps, "step"), data.draw(payloads, "extras")
        self.write(data, "requests", "reopen", seen, step, extras, now, due_at)

    @rule(data=st.data(), due_at=moments)
    def take_over(self, data: st.DataObject, due_at: Any) -> None:
        seen = self.draw_row(data, Request, a_request())
        due = DueRequest(seen.request_id, seen.execution, seen.due_at or NOW)
        self.write(data, "requests", "take_over", due, due_at)

    @rule(data=st.data(), due_at=optional_moments)
    def set_due(self, data: st.DataObject, due_at: Any) -> None:
        self.write(data, "requests", "set_due", self.draw_row(data, Request, a_request()), due_at)

    @rule(data=st.data(), request_id=request_ids, before=moments | st.just(FAR))
    def put_off(self, data: st.DataObject, request_id: str, before: Any) -> None:
        self.write(data, "requests", "put_off", request_id, before)

    @rule(data=st.data(), request_id=request_ids, due_at=moments)
    def postpone_due(self, data: st.DataObject, request_id: str, due_at: Any) -> None:
        self.write(data, "requests", "postpone_due", request_id, due_at)

    @rule(
        data=st.data(),
        outage=st.none() | st.builds(Outage, sampled(0, 3), moments, st.none() | job_errors),
    )
    def note_outage(self, data: st.DataObject, outage: Any) -> None:
        seen = self.draw_row(data, Request, a_request())
        self.write(data, "requests", "note_outage", seen, outage)

    @rule(data=st.data(), request_id=request_ids, times=st.lists(moments, min_size=1, max_size=3))
    def bring_due_forward(self, data: st.DataObject, request_id: str, times: Any) -> None:
        for due_at in times:
            self.write(data, "requests", "bring_due_forward", request_id, due_at)
        self.pair.ask("requests", "get", request_id)

    # -- steps -----------------------------------------------------------------------------------

    @rule(data=st.data(), request_id=request_ids, index=steps, job_count=sampled(1, 2), at=moments)
    def add_step(self, data: st.DataObject, request_id: str, at: Any, **values: Any) -> None:
        step = a_step(request_id=request_id, started_at=at, **values)
        self.write(data, "requests", "add_step", step)

    @rule(
        data=st.data(), status=st.sampled_from(StepStatus), counts=counts, now=optional_moments
    )  # fmt: skip
    def close_step(self, data: st.DataObject, status: Any, counts: Any, now: Any) -> None:
        seen = self.draw_row(data, Step, a_step())
        more = (data.draw(sampled(0, 0, 3), "tolerated"), data.draw(st.none() | payloads, "extras"))
        self.write(data, "requests", "close_step", seen, status, counts, now, *more)

    @rule(
        data=st.data(), tokens=sampled(["t1"], ["t2"], ["t1", "t2"], ["t2", "t3"]),
        more=sampled(0, 1, 1, 2),
    )  # fmt: skip
    def register_waiter(self, data: st.DataObject, tokens: list[str], more: int) -> None:
        seen: Step = self.draw_row(data, Step, a_step())
        for token in tokens:  # Of those who have seen the same, one is late.
            self.write(data, "requests", "register_waiter", seen, token, seen.arrivals + more)

    @rule(data=st.data(), request_id=request_ids, index=steps, count=sampled(1, 2))
    def count_arrivals(self, data: st.DataObject, request_id: str, index: int, count: int) -> None:
        self.write(data, "requests", "count_arrivals", request_id, index, count)

    @rule(
        data=st.data(),
        request_id=request_ids,
        key=keys,
        left=sampled({"completed": 1}, {"completed": 2, "retry": 1}, {"failure": 3}),
    )
    def add_tally(self, data: st.DataObject, request_id: str, key: AttemptKey, left: Any) -> None:
        self.write(data, "requests", "add_tally", request_id, key, left, NOW)

    @rule(
        data=st.data(),
        request_id=request_ids,
        index=steps,
        stall=st.none() | st.builds(Stall, sampled(0, 3), sampled("0.1.2"), moments, job_errors),
    )
    def note_stall(self, data: st.DataObject, request_id: str, index: int, stall: Any) -> None:
        self.write(data, "requests", "note_stall", request_id, index, stall)

    # -- attempts --------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        request_id=request_ids,
        rows=st.lists(keys, min_size=1, max_size=3, unique=True),
        is_polled=st.booleans(),
        wake_at=optional_moments,
        status=sampled(AttemptStatus.NEW, AttemptStatus.NEW, AttemptStatus.CANCELLED),
        item=st.none() | payloads,
        params=st.none() | payloads,
        fence=sampled(0, 3),
        generation=sampled(0, 1),
        on_failure=on_failures,
        priority=sampled(0, 0, 7),
        domain=sampled(None, None, "gpu"),
        shard=sampled(0, 0, 3),
        poll_until=optional_moments,
    )
    def insert(self, data: st.DataObject, request_id: str, rows: Any, **values: Any) -> None:
        if values["status"] is AttemptStatus.CANCELLED:
            values["completed_at"] = data.draw(optional_moments)
        attempts = [an_attempt(key, request_id, **values) for key in rows]
        self.write(data, "jobs", "insert", attempts)

    @rule(data=st.data(), claim_id=sampled("c1", "c2"), now=moments, until=moments)
    def claim(self, data: st.DataObject, claim_id: str, now: Any, until: Any) -> None:
        row = self.draw_row(data, Attempt, an_attempt(), (AttemptStatus.NEW,))
        self._claim(data, row.request_id, row.key, claim_id, now, until)

    def _claim(
        self, data: st.DataObject, request_id: str, key: Any, claim_id: str, now: Any, until: Any
    ) -> None:
        values = {"claim_id": claim_id, "worker_id": "w", "now": now, "lease_until": until}
        self.write(data, "jobs", "claim", request_id, key, **values)

    @rule(
        data=st.data(),
        outcome=sampled("complete", "complete", "retry", "fail"),
        error=job_errors,
        delay_s=sampled(0, 2, 900, 901),
        now=moments,
    )
    def hold_on_or_end(
        self, data: st.DataObject, outcome: str, error: JobError, delay_s: int, now: Any
    ) -> None:
        attempt: Attempt = self.draw_row(data, Attempt, an_attempt())
        if data.draw(st.booleans(), "claimed just now"):
            self._claim(data, attempt.request_id, attempt.key, "c3", now, now + LEASE)
            attempt = self.pair.tables.attempt(attempt.request_id, attempt.key) or attempt
        fence = attempt.fence + data.draw(sampled(0, 0, 1, -1), "fence")
        attempt = replace(attempt, fence=fence)
        if attempt.block is not None:  # What is known of its jobs is written as well.
            block, output = data.draw(blocks.filter(bool)), data.draw(payloads)
            attempt = replace(attempt, block=block, output=output)
        if data.draw(st.booleans(), "renews first"):
            self.write(data, "jobs", "renew", attempt, now)
        if outcome == "complete":
            output = attempt.output if attempt.block is not None else data.draw(payloads)
            lapsed = data.draw(st.booleans(), "lapsed")
            self.write(data, "jobs", "complete", attempt, output, now, lapsed=lapsed)
        elif outcome == "retry":
            successor = successor_of(attempt, timedelta(seconds=delay_s))
            lapsed = data.draw(st.booleans(), "lapsed")
            self.write(data, "jobs", "retry", attempt, error, successor, now, lapsed=lapsed)
        else:
            lapsed = data.draw(st.booleans(), "lapsed")
            rest = {"request": data.draw(st.none() | request_errors), "lapsed": lapsed}
            rest["due_at"] = data.draw(optional_moments)
            self.write(data, "jobs", "fail", attempt, error, now, **rest)

    @rule(data=st.data(), now=moments)
    def cancel(self, data: st.DataObject, now: Any) -> None:
        attempt = self.draw_row(data, Attempt, an_attempt(), (AttemptStatus.NEW,))
        failed = None
        if data.draw(st.booleans(), "only if failed"):
            failed = self.draw_row(data, Request, a_request(), (RequestStatus.FAILED,))
            failed = replace(failed, request_id=attempt.request_id)
        self.write(data, "jobs", "cancel", [attempt], now, failed=failed)

    @rule(data=st.data())
    def forget_wake_up(self, data: st.DataObject) -> None:
        attempt = self.draw_row(data, Attempt, an_attempt())
        self.write(data, "jobs", "forget_wake_up", attempt.request_id, attempt.key)

    @rule(data=st.data(), before=moments | st.just(FAR))
    def put_off_wake_up(self, data: st.DataObject, before: Any) -> None:
        attempt = self.draw_row(data, Attempt, an_attempt())
        key = attempt.request_id, attempt.key
        self.write(data, "jobs", "put_off_wake_up", *key, before)

    @rule(now=moments, request_id=request_ids, step=sampled(1, 2))
    def prolong(self, now: datetime, request_id: str, step: int) -> None:
        self.pair.ask("jobs", "prolong", request_id, step, now)

    # -- definitions and blobs -------------------------------------------------------------------

    @rule(
        data=st.data(),
        kind=st.sampled_from(Kind),
        name=sampled("list", "list.all"),
        version=sampled(2, 10),
        body=sampled({"steps": []}, {"steps": [], "title": "é"}),
        is_deleted=sampled(False, False, True),
    )
    def define(self, data: st.DataObject, **values: Any) -> None:
        definition = Definition(**values, created_at="2026-01-31T09:00:00.000Z")
        self.write(data, "definitions", "put", definition)
        self.pair.ask("definitions", "get", definition.kind, definition.name)
        self.pair.ask("definitions", "get", definition.kind, definition.name, 2)
        self.pair.ask("definitions", "latest", definition.kind)
        after = data.draw(sampled(None, "list", "list.all"), "after")
        self.pair.ask("definitions", "find", definition.kind, data.draw(limits, "limit"), after)

    @rule(request_id=request_ids, until=moments, other=request_ids)
    def live(self, request_id: str, until: datetime, other: str) -> None:
        self.pair.ask("requests", "note_alive", request_id, until)
        self.pair.ask("requests", "alive_until", other)

    @rule(data=st.data(), request_id=request_ids, text=texts, missing=request_ids)
    def keep_text(self, data: st.DataObject, request_id: str, text: str, missing: str) -> None:
        ref = self.pair.ask("blobs", "put", request_id, text, data.draw(sampled(32, 256)))
        self.pair.ask("blobs", "renew", request_id, data.draw(moments), data.draw(sampled(32, 256)))
        self.pair.ask("blobs", "get", ref.replace(request_id, missing))
        self.pair.ask("blobs", "get_many", [ref, ref.replace(request_id, missing)])
        for side in (self.pair.model, self.pair.adapter):  # Their buckets differ.
            assert side.blobs.get(side.blobs.publish(request_id, text, 32)["key"]) == text
        self.pair.answers["blobs.publish", "row"] += 1

    @rule(
        data=st.data(), request_id=request_ids, part=sampled(b"1\n2\n", b"3\n"), other=request_ids
    )
    def keep_bytes(self, data: st.DataObject, request_id: str, part: bytes, other: str) -> None:
        ref = self.pair.ask("blobs", "put_bytes", request_id, part, data.draw(sampled(32, 256)))
        start, end = data.draw(sampled((0, 2), (1, 4), (1, 9)))
        self.pair.ask("blobs", "get_bytes", request_id, ref, start, end)
        self.pair.ask("blobs", "get_bytes", other, ref, 0, 1)
        self.pair.ask("blobs", "get_bytes", request_id, f"{ref}x", 0, 1)

    # -- reading, and sending again --------------------------------------------------------------

    @rule(request_id=request_ids, step=steps, key=keys, status=st.none() | attempt_statuses)
    def read_rows(self, request_id: str, step: int, key: AttemptKey, status: Any) -> None:
        self.pair.ask("requests", "get", request_id)
        self.pair.ask("requests", "get_step", request_id, step)
        self.pair.ask("requests", "tally", request_id, step)
        self.pair.ask("jobs", "get", request_id, key)
        self.pair.ask("jobs", "of_step", request_id, step, status)

    @rule(
        status=st.none() | st.sampled_from(RequestStatus), type=sampled(None, "report"),
        limit=limits, data=st.data(),
    )  # fmt: skip
    def find_requests(self, data: st.DataObject, **values: Any) -> None:
        self.pair.ask("requests", "find", next_token=self._draw_token(data), **values)

    @rule(
        request_id=request_ids, steps=sampled(ALL_STEPS, range(1, 2), range(2, 3)),
        status=st.none() | attempt_statuses, limit=limits,
        after=st.none() | keys | st.builds(AttemptKey, steps, sampled(0, 1, 9), sampled(0, 9999)),
    )  # fmt: skip
    def find_attempts(self, **values: Any) -> None:
        self.pair.ask("jobs", "find", **values)

    def _draw_token(self, data: st.DataObject) -> str | None:
        """Draw no token, an earlier page's of this list or of the other, or nonsense."""
        tokens: Any = st.sampled_from([*self.pair.tokens, "nonsense"])
        token: str | None = data.draw(st.none() | tokens, "next_token")
        return token

    @rule(lane=st.sampled_from(Lane), before=moments | st.just(FAR), shard=shards)
    def list_due(self, lane: Lane, before: Any, shard: str | None) -> None:
        self.pair.list_due(lane, before, shard)

    @rule(before=moments | st.just(FAR), shard=shards)
    def list_waking(self, before: Any, shard: str | None) -> None:
        self.pair.list_waking(before, shard)


# -- the tests -----------------------------------------------------------------------------------


class Client:
    """A client for one example, perhaps of an endpoint that does not know a newer parameter.

    DynamoDB remembers a transaction's token for ten minutes, so those of an example are its own.
    """

    NEWER = "ReturnValuesOnConditionCheckFailure"
    TOKEN = "ClientRequestToken"

    def __init__(self, client: Any, *, is_older: bool) -> None:
        self._client = client
        self._is_older = is_older
        self._example = uuid.uuid4().hex

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return lambda **parameters: method(**self._adapted(parameters))

    def _adapted(self, parameters: dict[str, Any]) -> Any:
        adapted = without(parameters, self.NEWER) if self._is_older else dict(parameters)
        if self.TOKEN in adapted:
            own = adapted[self.TOKEN] + self._example
            adapted[self.TOKEN] = hashlib.sha256(own.encode()).hexdigest()[:36]
        return adapted


def without(value: Any, name: str) -> Any:
    """Return the parameters without those of that name, at any depth."""
    match value:
        case dict():
            return {k: without(v, name) for k, v in value.items() if k != name}
        case list():
            return [without(v, name) for v in value]
    return value


def run(
    aws: Aws, rules: type[Machine], *, examples: int, is_older: bool = False, **options: Any
) -> Counter[tuple[str, str]]:
    """Draw and run examples; return how often each method gave each kind of answer."""
    answers: Counter[tuple[str, str]] = Counter()
    given: dict[str, Any] = {
        "max_examples": int(EXAMPLES or examples),
        "derandomize": EXAMPLES is None,
        "stateful_step_count": 50,
        "database": None,
        "deadline": None,
        "suppress_health_check": list(HealthCheck),
    }

    def machine() -> Machine:
        client = Client(aws.dynamodb, is_older=is_older)
        return rules(aws, aws.stores(client, sleep=lambda seconds: None), answers)

    made: Any = machine
    run_state_machine_as_test(made, settings=settings(**(given | options)))
    return answers


def test_every_store_of_the_ports_is_compared() -> None:
    known = {
        name: port
        for module in (jobs, stores, workers, workspaces, world)
        for name, port in vars(module).items()
    }
    declared = {port for name, port in known.items() if name.endswith("Store")}
    assert set(PORTS.values()) == declared
    # Counters are compared with a recount, by the simulation.
    counted = {"counters", "counted_tables"}
    assert set(PORTS) == {field.name for field in fields(Stores)} - counted


@pytest.fixture
def aws(request: pytest.FixtureRequest) -> Aws:
    """Return DynamoDB's tables where the tests run against an endpoint, else the quota model's."""
    deployed: Aws = request.getfixturevalue("deployed")
    if ENDPOINT is not None:
        return deployed
    modelled: Aws = request.getfixturevalue("modelled")
    return replace(modelled, s3=deployed.s3, bucket=deployed.bucket)


def test_the_adapter_answers_as_the_model_does(aws: Aws) -> None:
    answers = run(aws, StoresAgree, examples=32) + run(aws, LifecycleAgrees, examples=10)
    methods = {f"{name}.{m}" for name, port in PORTS.items() for m in methods_of(port)}
    assert methods == {method for method, _ in answers}, "no rule calls these"
    if EXAMPLES is not None:
        unmet = [f"{method}: {answer}" for method, answer in TO_MEET if not answers[method, answer]]
        assert not unmet, f"in {answers.total():,} calls never answered {unmet}"


def test_an_older_endpoint_makes_no_difference(aws: Aws) -> None:
    run(aws, StoresAgree, examples=4, is_older=True)
    run(aws, LifecycleAgrees, examples=2, is_older=True)


def test_a_weaker_condition_is_a_difference(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "IS_FENCE_HELD", conditions.EXISTS)
    with pytest.raises(AssertionError, match="the adapter: "):
        run(aws, StoresAgree, examples=200, phases=[Phase.generate])


def test_a_weaker_condition_on_a_lifecycle_job_is_a_difference(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "IS_REVISION_SEEN", "attribute_exists(#revision)")
    with pytest.raises(AssertionError, match="the adapter: "):
        run(aws, LifecycleAgrees, examples=200, phases=[Phase.generate])
