"""The requests under faults, and what must be true of them whatever went wrong."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

from shiftwork.api.calls.requests import ENDED
from shiftwork.api.errors import ApiError, Unreachable
from shiftwork.api.shapes import Attempt, Request
from shiftwork_core.services.requests.requests import Submission
from tests.faults.stack import FaultyLab
from tests.integration.lab import JsonObject, side_by_side, until

#: A process that dies costs its attempts, so a policy of few attempts would rightly fail.
RETRY = {"max_attempts": 20, "backoff": "fixed", "delay_s": 0, "jitter": "none"}
JOB_TYPES = {
    "fault.work": {"target": "python", "batch_size": 5, "retry": RETRY},
    "fault.fail": {"target": "python", "batch_size": 5, "retry": RETRY},
}
#: A request of this type completes: a job, ten side by side in two batches, a job.
COMPLETES = "completes"
#: One of this type fails in its second step, whose other jobs may or may not have started.
FAILS = "fails"
#: A small one, for kills: every function works for it, as its job asks for one retry.
SMALL = "small"

#: How many of the ten ask for a retry.
_RETRIES = 2
#: One request in so many fails.
_FAILS_EVERY = 8
_AT_ONCE = 4
PATIENCE_S = 300.0


def define(lab: FaultyLab) -> None:
    """Put the types."""
    for name, job_type in JOB_TYPES.items():
        lab.api.put_definition("job-type", name, job_type)
    first = {"name": "first", "jobs": [{"name": "first", "type": "fault.work"}]}
    wide = {"name": "wide", "type": "fault.work", "for_each": "params.items"}
    last = {"name": "last", "jobs": [{"name": "last", "type": "fault.work"}]}
    bad = {"name": "bad", "type": "fault.fail"}
    types = {
        COMPLETES: [first, {"name": "wide", "jobs": [wide]}, last],
        FAILS: [first, {"name": "wide", "jobs": [wide, bad]}, last],
        SMALL: [{"name": "wide", "jobs": [wide]}, last],
    }
    for name, steps in types.items():
        lab.api.put_definition("request-type", name, {"steps": steps})


def params(jobs: int, retries: int) -> JsonObject:
    """Return params for so many jobs side by side, some of which ask for a retry."""
    items = [{"number": n, "failures": int(n < retries)} for n in range(jobs)]
    return {"items": items}


def type_of(number: int) -> str:
    """Return the type of the n-th request."""
    return FAILS if number % _FAILS_EVERY == _FAILS_EVERY - 1 else COMPLETES


def submit(lab: FaultyLab, count: int) -> list[str]:
    """Submit requests through the API, resending each until it is in; return their ids."""

    def submit_one(number: int) -> str:
        key = str(uuid4())

        def look() -> str | None:
            # The client retries for a second or two; under many faults that is not enough.
            with suppress(ApiError, Unreachable):
                made = lab.api.submit(type_of(number), params(10, _RETRIES), idempotency_key=key)
                return made["request_id"]
            return None

        return until(look, "the request is accepted", PATIENCE_S)

    return side_by_side([partial(submit_one, number) for number in range(count)], _AT_ONCE)


def small() -> Submission:
    """Return a small request."""
    return Submission(SMALL, params(2, 1), {})


def wait_for(lab: FaultyLab, request_ids: list[str], timeout_s: float = PATIENCE_S) -> list[str]:
    """Wait until all have ended; return those that have not ended in time."""
    pending = list(request_ids)

    def look() -> bool:
        statuses = lab.statuses(pending)
        pending[:] = [i for i in pending if statuses.get(i) not in ENDED]
        return not pending

    try:
        until(look, "every request has ended", timeout_s)
    except AssertionError:
        return pending
    return []


@dataclass(slots=True)
class Verdict:
    """What was found of some requests.

    Attributes
    ----------
    ended
        How many ended as they should.
    jobs
        How many jobs completed.
    doubled
        How many jobs have more than one recorded outcome.
    faults
        Everything that is not as it must be, in words.
    """

    requests: int = 0
    ended: int = 0
    jobs: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        """Add the findings of other requests."""
        self.requests += other.requests
        self.ended += other.ended
        self.jobs += other.jobs
        self.doubled += other.doubled
        self.faults += other.faults


def judge(lab: FaultyLab, request_ids: list[str]) -> Verdict:
    """Check requests that have ended, without faults but with sweeps."""
    ran = Counter(effect["attempt_id"] for effect in lab.take_effects())
    verdict = Verdict(requests=len(request_ids))
    looks = [partial(_read, lab, request_id) for request_id in request_ids]
    for request, attempts in side_by_side(looks, _AT_ONCE):
        _judge_one(verdict, request, attempts, ran)
    return verdict


def _read(lab: FaultyLab, request_id: str) -> tuple[Request, list[Attempt]]:
    """Return the request, and its attempts once none is open any more."""

    def look() -> list[Attempt] | None:
        attempts = lab.attempts(request_id)
        is_open = any(a["status"] in ("new", "inprogress") for a in attempts)
        return None if is_open else attempts

    # A failed request's running jobs may finish; after a lease a sweep ends those that died.
    with suppress(AssertionError):
        until(look, "nothing of it is open", timeout_s=30)
    return lab.api.get(request_id), lab.attempts(request_id)


def _judge_one(
    verdict: Verdict, request: Request, attempts: list[Attempt], ran: Counter[str]
) -> None:
    """Add the findings of one request."""
    outcomes = Counter(map(_job_of, _with_status(attempts, "completed", "failure")))
    doubled = [job for job, count in outcomes.items() if count > 1]
    verdict.doubled += len(doubled)
    verdict.jobs += len(_with_status(attempts, "completed"))
    faults = [f"{job} has several outcomes" for job in doubled]
    wanted = "Failed" if request["type"] == FAILS else "Completed"
    if request["status"] == wanted:
        verdict.ended += 1
    else:
        faults.append(f"it is {request['status']}, not {wanted}: {request['error']}")
    faults += _faults_of_attempts(attempts, ran)
    faults += (_faults_of_completed if wanted == "Completed" else _faults_of_failed)(
        request, attempts
    )
    verdict.faults += [f"{request['request_id']}: {fault}" for fault in faults]


def _faults_of_attempts(attempts: list[Attempt], ran: Counter[str]) -> list[str]:
    """Return what is wrong with the attempts of any request."""
    faults = []
    for attempt in attempts:
        name, status = attempt["attempt_id"], attempt["status"]
        if ran[name] > 1:
            faults.append(f"{name} ran {ran[name]} times")
        if status == "completed" and not ran[name]:
            faults.append(f"{name} is completed, but never ran")
        if status in ("new", "inprogress"):
            faults.append(f"{name} is left as {status}")
        # Each claim of a job raises its fence, and each attempt is claimed once.
        if attempt["started_at"] and attempt["fence"] != attempt["attempt"]:
            faults.append(f"{name} has fence {attempt['fence']}")
    return faults


def _faults_of_completed(request: Request, attempts: list[Attempt]) -> list[str]:
    """Return what is wrong with a request that completed."""
    completed = _with_status(attempts, "completed")
    wide = len(request["params"]["items"])
    steps = {SMALL: (wide, 1)}.get(request["type"], (1, wide, 1))
    faults = []
    by_step = Counter(attempt["step"] for attempt in completed)
    if by_step != dict(enumerate(steps, 1)):
        faults.append(f"completed by step are {dict(by_step)}")
    outputs: JsonObject = {}
    for attempt in completed:
        outputs |= attempt["output"] or {}
    if request["extras"] != outputs or len(outputs) != sum(steps):
        faults.append("its extras are not its completed jobs' results")
    if others := _with_status(attempts, "failure", "cancelled"):
        faults.append(f"{others[0]['attempt_id']} is {others[0]['status']}")
    for step in range(2, len(steps) + 1):
        before = [a["completed_at"] or "" for a in completed if a["step"] == step - 1]
        begun = [a["created_at"] for a in attempts if a["step"] == step]
        if before and begun and min(begun) < max(before):
            faults.append(f"step {step} began before step {step - 1} had ended")
    return faults


def _faults_of_failed(request: Request, attempts: list[Attempt]) -> list[str]:
    """Return what is wrong with a request whose job in step 2 fails."""
    faults = []
    failed = {a["job"]: a["error"] for a in _with_status(attempts, "failure")}
    own = failed.pop("bad", None)
    if own is None or own["message"] != "this can never work":
        faults.append(f"its failure is {own}")
    # Once it has failed, no other job is retried.
    allowed = ("Retry", "LeaseExpired")
    faults += [f"{job} failed: {e}" for job, e in failed.items() if e and e["type"] not in allowed]
    if any(attempt["step"] > 2 for attempt in attempts):
        faults.append("a step after the failed one was planned")
    return faults


def _with_status(attempts: list[Attempt], *statuses: str) -> list[Attempt]:
    return [attempt for attempt in attempts if attempt["status"] in statuses]


def _job_of(attempt: Attempt) -> str:
    return attempt["attempt_id"].rsplit(".", 1)[0]
