"""The outcomes of an attempt, and the verdict on them: complete, retry after a delay, or fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shiftwork_core.domain.json_bounds import faults_in
from shiftwork_core.domain.payloads import JsonObject, to_json
from shiftwork_core.domain.requests.backoff import Draw, RetryPolicy
from shiftwork_core.domain.texts import storable

#: A row takes 400 KB, and a request has its failed job's error too. People read less than this; the
#: log has the whole.
MAX_MESSAGE_BYTES = 4096
#: Of a cut message, which leaves room for what `judge` adds.
MAX_CUT_BYTES = 4000
_MAX_TYPE_BYTES = 200


@dataclass(frozen=True, slots=True)
class JobError:
    """Why an attempt did not complete: the error's type as a word, and a message for people.

    Both can be stored, whatever they were made of.
    """

    type: str
    message: str

    def __post_init__(self) -> None:
        """Cut what is too long, and write out what UTF-8 cannot write."""
        object.__setattr__(self, "type", storable(self.type, _MAX_TYPE_BYTES))
        object.__setattr__(self, "message", storable(self.message, MAX_MESSAGE_BYTES))

    def with_note(self, note: str) -> JobError:
        """Return the error with a short note behind its message."""
        message = storable(self.message, MAX_CUT_BYTES)
        return JobError(self.type, f"{message} {note}")


@dataclass(frozen=True, slots=True)
class Completed:
    """The callback returned; `output` is merged into the extras."""

    output: JsonObject


#: No retry is put off for longer, and no request begins later.
MAX_DELAY_S = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Retryable:
    """A recoverable error. `delay_s`, if given, replaces the policy's back-off (a Retry-After).

    Given as what is no number, it is left out: the policy decides.
    """

    error: JobError
    delay_s: float | None = None

    def __post_init__(self) -> None:
        """Bound the delay, which may come from anybody's code."""
        given: Any = self.delay_s
        is_number = isinstance(given, (int, float)) and given == given  # Not NaN.
        bounded = float(min(max(given, 0), MAX_DELAY_S)) if is_number else None
        object.__setattr__(self, "delay_s", bounded)


@dataclass(frozen=True, slots=True)
class Failed:
    """An unrecoverable error: the job fails, and its request by the step's `on_failure`."""

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


def judge(
    outcome: Outcome, tries: int, policy: RetryPolicy, draw: Draw, *, is_retried: bool = False
) -> Verdict:
    """Return what to record of attempt number `tries`: past the policy's last it is a failure.

    `is_retried`: a user's retry has started the budget over, so the attempt's own number is higher.
    """
    if not isinstance(outcome, Retryable):
        return outcome
    if tries >= policy.max_attempts:
        plural = "attempt" if tries == 1 else "attempts"
        since = " since the retry" if is_retried else ""
        return Failed(outcome.error.with_note(f"(gave up after {tries} {plural}{since})"))
    delay_s = policy.delay_after(tries, draw) if outcome.delay_s is None else outcome.delay_s
    return RetryIn(outcome.error, delay_s)


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
    if fault := next(faults_in(result), None):
        where = f"{fault.path}: " if fault.path else ""
        return Failed(JobError("InvalidResult", f"the result is not JSON: {where}{fault.message}"))
    size_bytes = len(to_json(result).encode())
    if size_bytes > MAX_RESULT_BYTES:
        message = f"the result has {size_bytes:,} bytes of at most {MAX_RESULT_BYTES:,}; "
        return Failed(JobError("ResultTooLarge", message + "store it and return where it lies"))
    return Completed(result)
