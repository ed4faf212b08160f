"""The state machines of requests and attempts: a table decides every pair of state and event.

`docs/states.md` is drawn from these tables, the stores take their conditions from them, and a test
walks every pair. Nothing else in the project decides whether a status may change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RequestStatus(StrEnum):
    """The status of a request."""

    #: Written by the API. Moved on by its first AdvanceRequest; if the execution never started, the
    #: new-requests sweep starts another. A crash leaves a row that the sweep finds by its due time.
    QUEUING = "Queuing"
    #: Steps are planned and run. Moved by AdvanceRequest (last step settled, or one that is to
    #: finish has done so with a failure), by the outcome of a job that fails finally, or by a
    #: cancel. A crash leaves a due time in the past.
    INPROGRESS = "Inprogress"
    #: Every step completed. Kept for the retention period. A retry moves it if jobs failed that its
    #: steps tolerate.
    COMPLETED = "Completed"
    #: A job failed finally, or the request could not continue. Only a retry moves it.
    FAILED = "Failed"
    #: A user cancelled it. Final; what ran may finish, nothing more starts.
    CANCELLED = "Cancelled"


class RequestEvent(StrEnum):
    """What may happen to a request."""

    START = "start"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    RETRY = "retry"


class AttemptStatus(StrEnum):
    """The status of an attempt."""

    #: Written by the planner or by the retry of the attempt before, or put back by its worker.
    #: Moved by a claim or a cancel; if no worker claims it in time, by the process that notices.
    #: After a crash it stays: AdvanceRequest or a sweep requeues it, or a worker finds it queued.
    NEW = "new"
    #: Claimed under a fence and a lease. Moved by its holder's outcome; when the lease has run out,
    #: by AdvanceRequest or a sweep, as a retry or a failure.
    INPROGRESS = "inprogress"
    #: The callback returned. Final; its output is merged into the extras when the step settles.
    COMPLETED = "completed"
    #: Unrecoverable, or out of attempts. Final for the attempt; a retried request adds another.
    FAILURE = "failure"
    #: Recoverable: the next attempt was written in the same transaction. Final for the attempt.
    RETRY = "retry"
    #: Never started, because its request ended first. Final for the attempt.
    CANCELLED = "cancelled"


class AttemptEvent(StrEnum):
    """What may happen to an attempt."""

    CLAIM = "claim"
    RENEW = "renew"
    COMPLETE = "complete"
    RETRY = "retry"
    FAIL = "fail"
    CANCEL = "cancel"
    #: Its worker continues it later, or another does.
    PUT_BACK = "put back"
    #: No worker claimed it in time; it is retried.
    OVERDUE = "overdue"
    #: No worker claimed it in time, and that was its last attempt.
    ABANDON = "abandon"


@dataclass(frozen=True, slots=True)
class Refused:
    """The event changes nothing in this state, for this reason."""

    reason: str


_R, _RE = RequestStatus, RequestEvent
_A, _AE = AttemptStatus, AttemptEvent

_ENDED = Refused("the request has ended")
_NOTHING_FAILED = Refused("nothing of it has failed for good")

REQUEST_TRANSITIONS: dict[tuple[RequestStatus, RequestEvent], RequestStatus | Refused] = {
    (_R.QUEUING, _RE.START): _R.INPROGRESS,
    (_R.QUEUING, _RE.COMPLETE): Refused("nothing of it has run yet"),
    (_R.QUEUING, _RE.FAIL): _R.FAILED,
    (_R.QUEUING, _RE.CANCEL): _R.CANCELLED,
    (_R.QUEUING, _RE.RETRY): _NOTHING_FAILED,
    (_R.INPROGRESS, _RE.START): Refused("it has started already"),
    (_R.INPROGRESS, _RE.COMPLETE): _R.COMPLETED,
    (_R.INPROGRESS, _RE.FAIL): _R.FAILED,
    (_R.INPROGRESS, _RE.CANCEL): _R.CANCELLED,
    (_R.INPROGRESS, _RE.RETRY): _NOTHING_FAILED,
    (_R.COMPLETED, _RE.START): _ENDED,
    (_R.COMPLETED, _RE.COMPLETE): _ENDED,
    (_R.COMPLETED, _RE.FAIL): _ENDED,
    (_R.COMPLETED, _RE.CANCEL): _ENDED,
    (_R.COMPLETED, _RE.RETRY): _R.INPROGRESS,
    (_R.FAILED, _RE.START): _ENDED,
    (_R.FAILED, _RE.COMPLETE): _ENDED,
    (_R.FAILED, _RE.FAIL): _ENDED,
    (_R.FAILED, _RE.CANCEL): _ENDED,
    (_R.FAILED, _RE.RETRY): _R.INPROGRESS,
    (_R.CANCELLED, _RE.START): _ENDED,
    (_R.CANCELLED, _RE.COMPLETE): _ENDED,
    (_R.CANCELLED, _RE.FAIL): _ENDED,
    (_R.CANCELLED, _RE.CANCEL): _ENDED,
    (_R.CANCELLED, _RE.RETRY): _ENDED,
}

_UNHELD = Refused("nobody holds it: claim it first")
_HELD = Refused("another holder has it")
_SETTLED = Refused("its outcome is recorded")

_OPEN_TRANSITIONS: dict[tuple[AttemptStatus, AttemptEvent], AttemptStatus | Refused] = {
    (_A.NEW, _AE.CLAIM): _A.INPROGRESS,
    (_A.NEW, _AE.RENEW): _UNHELD,
    (_A.NEW, _AE.COMPLETE): _UNHELD,
    (_A.NEW, _AE.RETRY): _UNHELD,
    (_A.NEW, _AE.FAIL): _UNHELD,
    (_A.NEW, _AE.CANCEL): _A.CANCELLED,
    (_A.NEW, _AE.PUT_BACK): _UNHELD,
    (_A.NEW, _AE.OVERDUE): _A.RETRY,
    (_A.NEW, _AE.ABANDON): _A.FAILURE,
    (_A.INPROGRESS, _AE.CLAIM): _HELD,
    (_A.INPROGRESS, _AE.RENEW): _A.INPROGRESS,
    (_A.INPROGRESS, _AE.COMPLETE): _A.COMPLETED,
    (_A.INPROGRESS, _AE.RETRY): _A.RETRY,
    (_A.INPROGRESS, _AE.FAIL): _A.FAILURE,
    (_A.INPROGRESS, _AE.CANCEL): Refused("what runs may finish"),
    (_A.INPROGRESS, _AE.PUT_BACK): _A.NEW,
    (_A.INPROGRESS, _AE.OVERDUE): _HELD,
    (_A.INPROGRESS, _AE.ABANDON): _HELD,
}

ATTEMPT_TRANSITIONS = _OPEN_TRANSITIONS | {
    (status, event): _SETTLED
    for status in (_A.COMPLETED, _A.FAILURE, _A.RETRY, _A.CANCELLED)
    for event in AttemptEvent
}

REQUEST_ENDED = frozenset({_R.COMPLETED, _R.FAILED, _R.CANCELLED})
ATTEMPT_OPEN = frozenset({_A.NEW, _A.INPROGRESS})


def request_sources(event: RequestEvent) -> list[RequestStatus]:
    """Return the statuses from which `event` moves a request: what a store's condition admits."""
    return [s for s in RequestStatus if not isinstance(REQUEST_TRANSITIONS[s, event], Refused)]


def attempt_sources(event: AttemptEvent) -> list[AttemptStatus]:
    """Return the statuses from which `event` moves an attempt: what a store's condition admits."""
    return [s for s in AttemptStatus if not isinstance(ATTEMPT_TRANSITIONS[s, event], Refused)]
