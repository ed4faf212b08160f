"""Decide when a step has come to a stall: batches were handed out, and none of their jobs began.

A batch that dies before it claims a job (its function cannot start, or cannot read what it needs)
leaves everything as it was, so the same batch would be handed out again at once, without end.
Instead one batch is tried alone, after a back-off that grows, and after a bound the request fails
with what the batches died of.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shiftwork_core.domain.backoff import doubled
from shiftwork_core.domain.payloads import JsonObject, to_json
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Request, RequestError, Stall
from shiftwork_core.domain.requests.step_state import StepState
from shiftwork_core.domain.times import from_iso, to_iso

_FIRST_WAIT_S = 2.0
_LONGEST_WAIT_S = 300.0

#: Rounds in which nothing began before a request fails: with their waits some 14 minutes.
MAX_ROUNDS = 10
#: The same while AWS itself is busy or down, which waiting mends: a day.
MAX_ROUNDS_OF_AWS = 300

#: What the state machine calls errors of AWS that pass; the first two are ours.
_OF_AWS = {
    "Throttled",
    "Unavailable",
    "Lambda.TooManyRequestsException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
}


@dataclass(frozen=True, slots=True)
class LastRound:
    """What an execution brings back from its last round.

    Attributes
    ----------
    events:
        How many events its history has, about; 0 if this is its first round.
    progress:
        What had begun when batches were handed out; empty if none were.
    error:
        What the batch that was tried alone died of, or one that was called; None if it did not die,
        or none was tried.
    slow_types:
        The job types of batches that were called, and waited for in vain.
    """

    events: int = 0
    progress: str = ""
    error: JobError | None = None
    slow_types: frozenset[str] = frozenset()


FIRST_ROUND = LastRound()


def last_round(state: JsonObject) -> LastRound:
    """Read what the state machine brings back."""
    died = state.get("died")
    return LastRound(
        events=state.get("events", 0),
        progress=state.get("progress", ""),
        error=None if died is None else error_of(died["Error"], died.get("Cause", "")),
        slow_types=frozenset(state.get("slow_types", ())),
    )


def is_of_aws(error: str) -> bool:
    """Whether an error of the state machine is one of AWS that passes."""
    return error in _OF_AWS


def progress_of(request: Request, state: StepState) -> str:
    """Return a text that changes whenever RunJobs claims an attempt of the current step."""
    return f"{request.generation}.{request.current_step}.{state.begun}"


def stall_of(known: Stall | None, last: LastRound, progress: str, now: datetime) -> Stall | None:
    """Return the stall that a step with jobs to hand out has come to; None if it goes on.

    `known` is the stall in its row. By it a fresh execution, which brings nothing back, goes on
    where the one before it was. One whose next batch is not due yet stays as it is: this call is
    repeated, or another execution has come meanwhile, and no batch has died in between.
    """
    is_back = last.progress == progress
    if known is not None and known.progress == progress:
        if now < known.next_at and (known.rounds or not is_back):
            return replace(known, error=last.error or known.error)
        rounds = known.rounds + 1
    elif is_back:
        rounds = 1
    else:
        return None
    wait = timedelta(seconds=min(doubled(_FIRST_WAIT_S, rounds), _LONGEST_WAIT_S))
    error = None if known is None else known.error
    return Stall(rounds, progress, now + wait, last.error or error)


def failure_of(stall: Stall, step: int) -> RequestError | None:
    """Return the error that the request fails with; None while another batch is to be tried."""
    error = stall.error or JobError("BatchesDied", "see the log of RunJobs")
    if stall.rounds < (MAX_ROUNDS_OF_AWS if is_of_aws(error.type) else MAX_ROUNDS):
        return None
    return RequestError(error.type, f"{_rounds(stall)}: {error.message}", step)


def told(stall: Stall) -> str:
    """Return what the step stalls by, and what comes next, in sentences."""
    error = stall.error
    of = f", the last of {error.type}: {error.message}" if error else ""
    return f"{_rounds(stall)}{of}. One is tried at {to_iso(stall.next_at)}."


def error_of(error: str, cause: str) -> JobError:
    """Return what the state machine calls an error, without the function's stack trace."""
    try:
        message = json.loads(cause)["errorMessage"]
    except (ValueError, TypeError, KeyError):
        message = cause
    return JobError(error or "ExecutionFailed", str(message or error))


def stall_to_text(stall: Stall | None) -> str | None:
    """Return a stall as its row keeps it."""
    if stall is None:
        return None
    error = stall.error
    return to_json(
        {
            "rounds": stall.rounds,
            "progress": stall.progress,
            "next_at": to_iso(stall.next_at),
            "error": None if error is None else [error.type, error.message],
        }
    )


def stall_from_text(text: str | None) -> Stall | None:
    """Return the stall that a row keeps."""
    if text is None:
        return None
    kept = json.loads(text)
    error = kept["error"]
    return Stall(
        kept["rounds"],
        kept["progress"],
        from_iso(kept["next_at"]),
        None if error is None else JobError(*error),
    )


def _rounds(stall: Stall) -> str:
    rounds = "1 round" if stall.rounds == 1 else f"{stall.rounds} rounds"
    return f"in {rounds} its batches died before they claimed a job"
