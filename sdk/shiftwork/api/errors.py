"""The errors of the client, each with what to do next.

ShiftworkError
+-- NotConfigured      no argument or setting names the API's address
+-- Unreachable        the API does not answer
+-- BadDefinitions     definition files have faults
+-- ApiError           the API answers with an error
    +-- Unauthorized   401, 403
    +-- NotFound       404
    +-- Conflict       409
    +-- TooLarge       413
    +-- Invalid        400, 415, 422: `faults` lists all that is wrong
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from shiftwork.api.messages import Answer


class ShiftworkError(Exception):
    """The root of the tree.

    Attributes
    ----------
    message
        What is wrong, for people.
    next_step
        What to do about it; empty if the message says all.
    """

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class NotConfigured(ShiftworkError):
    """No argument, environment variable or local.env names the API's address."""

    def __init__(self, message: str = "No stack is running.") -> None:
        next_step = "Start one with: shiftwork dev, or shiftwork up (or set SHIFTWORK_URL)"
        super().__init__(message, next_step)


class Unreachable(ShiftworkError):
    """No answer came. `is_sent`: the call may have arrived all the same."""

    def __init__(self, url: str, reason: str, *, is_sent: bool) -> None:
        super().__init__(
            f"{url} does not answer: {reason}",
            "See whether the stack runs with: shiftwork status",
        )
        self.is_sent = is_sent


class Fault(NamedTuple):
    """One fault in the input: where, such as `steps[0].name`, and what is wrong there."""

    path: str
    message: str

    def __str__(self) -> str:
        """Return both as one line."""
        return f"{self.path}: {self.message}" if self.path else self.message


#: What to do about definitions that have faults.
CORRECT = "Correct these definitions, then do it again"


class BadDefinitions(ShiftworkError):
    """The definitions have these faults; `outcome` says what became of the others."""

    def __init__(self, faults: list[Fault], outcome: str = "Nothing was applied.") -> None:
        super().__init__(f"The definitions have faults. {outcome}", CORRECT)
        self.faults = faults


class ApiError(ShiftworkError):
    """An answer with status 4xx or 5xx.

    Attributes
    ----------
    status
        The HTTP status.
    faults
        All faults of the input, if that is the reason.
    retry_after_s
        How long the answer asks to wait before the next attempt, in seconds.
    """

    def __init__(
        self,
        status: int,
        message: str,
        next_step: str = "",
        faults: list[Fault] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, next_step)
        self.status = status
        self.faults = faults or []
        self.retry_after_s = retry_after_s

    @staticmethod
    def of(answer: Answer) -> ApiError:
        """Return the error for an answer: problem+json, Conductor's shape, or anything else."""
        try:
            problem = answer.json()
        except ValueError:
            problem = {}
        if not isinstance(problem, dict):
            problem = {}
        status = answer.status
        kind = _KINDS.get(status, ApiError)
        message = problem.get("detail") or _message(problem, kind) or answer.reason
        seconds = answer.header("Retry-After")
        return kind(
            status,
            str(message or f"the answer was {status}"),
            str(problem.get("next") or _NEXT.get(kind, "")),
            [
                Fault(str(fault.get("path", "")), str(fault.get("message", "")))
                for fault in problem.get("errors") or []
            ],
            float(seconds) if seconds.isdecimal() else None,
        )


def _message(problem: dict[str, object], kind: type[ApiError]) -> object:
    """Return the message of a body in Conductor's shape, or the usual one for such errors."""
    is_silent = problem.get("message") in ("Unauthorized", "Forbidden")  # API Gateway's own.
    return (not is_silent and problem.get("message")) or _MESSAGES.get(kind)


class Unauthorized(ApiError):
    """The token is missing, unknown, or does not allow this call."""


class NotFound(ApiError):
    """The thing that the call names does not exist."""


class Conflict(ApiError):
    """The thing that the call names is in a state that does not allow the call."""


class TooLarge(ApiError):
    """The input exceeds a size limit."""


class Invalid(ApiError):
    """The input has faults; `faults` lists them all."""


_KINDS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    415: Invalid,
    422: Invalid,
}

#: Messages for answers that have none, such as the authorizer's.
_MESSAGES: dict[type[ApiError], str] = {
    Unauthorized: "The token is missing, unknown, or not good for this.",
}
_NEXT: dict[type[ApiError], str] = {
    Unauthorized: "Set SHIFTWORK_TOKEN to a token that may do this",
    NotFound: "See what there is with: shiftwork requests",
}
