"""The outcomes of an attempt, and the verdict on them: complete, retry after a delay, or fail."""

from __future__ import annotations

from dataclasses import dataclass

from shiftwork_core.domain.payloads import JsonObject, to_json
from shiftwork_core.domain.requests.backoff import Draw, RetryPolicy


@dataclass(frozen=True, slots=True)
class JobError:
    """Why an attempt did not complete: the error's type as a word, and a message for people."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The callback returned; `output` is merged into the extras."""

    output: JsonObject


@dataclass(frozen=True, slots=True)
class Retryable:
    """A recoverable error. `delay_s`, if given, replaces the policy's back-off (a Retry-After)."""

    error: JobError
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """An unrecoverable error: the job fails, and its request with it."""

    error: JobError


#: What a target reports of an attempt.
Outcome = Completed | Retryable | Failed


@dataclass(frozen=True, slots=True)
class RetryIn:
    """The policy grants another attempt, this many seconds from now."""

    error: JobError
    delay_s: float


#: What is recorded.
Verdict = Completed | RetryIn | Failed


def judge(outcome: Outcome, tries: int, policy: RetryPolicy, draw: Draw) -> Verdict:
    """Return what to record of attempt number `tries`: past the policy's last it is a failure."""
    if not isinstance(outcome, Retryable):
        return outcome
    if tries >= policy.max_attempts:
        plural = "attempt" if tries == 1 else "attempts"
        message = f"{outcome.error.message} (gave up after {tries} {plural})"
        return Failed(JobError(outcome.error.type, message))
    delay_s = policy.delay_after(tries, draw) if outcome.delay_s is None else outcome.delay_s
    return RetryIn(outcome.error, max(0.0, delay_s))


#: The largest answer of a synchronous Lambda call (Lambda's quotas): every target's limit.
MAX_RESULT_BYTES = 6 * 1024 * 1024


def completed(result: object) -> Completed | Failed:
    """Return the outcome of a job that returned `result`: a JSON object, or None for an empty one.

    Anything else is a failure, since the effects of the job have happened and doing it again would
    return the same.
    """
    if result is None:
        return Completed({})
    if not isinstance(result, dict):
        kind = type(result).__name__
        return Failed(JobError("InvalidResult", f"a job returns a JSON object, not {kind}"))
    try:
        size_bytes = len(to_json(result).encode())
    except ValueError as error:
        return Failed(JobError("InvalidResult", f"the result is not JSON: {error}"))
    if size_bytes > MAX_RESULT_BYTES:
        message = f"the result has {size_bytes:,} bytes of at most {MAX_RESULT_BYTES:,}; "
        return Failed(JobError("ResultTooLarge", message + "store it and return where it lies"))
    return Completed(result)
