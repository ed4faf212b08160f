"""Every error of the client, each with what to do next.

ShiftworkError
+-- NotConfigured      nobody said which Shiftwork to talk to
+-- Unreachable        it does not answer
+-- BadDefinitions     definition files have faults
+-- ApiError           it answers with a refusal or a fault of its own
    +-- Unauthorized   401, 403
    +-- NotFound       404
    +-- Conflict       409
    +-- TooLarge       413
    +-- Invalid        400, 415, 422: `faults` names all that is wrong
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


class ShiftworkError(Exception):
    """The root of the tree.

    Attributes
    ----------
    message
        What is wrong, for people.
    next_step
        What to do about it; empty if nothing better than the message is known.
    """

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class NotConfigured(ShiftworkError):
    """Neither argument, environment nor local.env names a Shiftwork."""

    def __init__(self, message: str = "No stack is running.") -> None:
        super().__init__(message, "Start one with: shiftwork up (or set SHIFTWORK_URL)")


class Unreachable(ShiftworkError):
    """No answer came. `is_sent`: the call may have arrived nevertheless."""

    def __init__(self, url: str, reason: str, *, is_sent: bool) -> None:
        super().__init__(
            f"{url} does not answer: {reason}",
            "See whether the stack runs with: shiftwork status",
        )
        self.is_sent = is_sent


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of what was sent: where, as `steps[0].name`, and what is wrong there."""

    path: str
    message: str

    def __str__(self) -> str:
        """Return both as one line."""
        return f"{self.path}: {self.message}" if self.path else self.message


class BadDefinitions(ShiftworkError):
    """The definition files have these faults, all of them; nothing was sent."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("The definitions have faults.", "Mend them, then apply again")
        self.faults = faults


class ApiError(ShiftworkError):
    """An answer of 4xx or 5xx.

    Attributes
    ----------
    status
        The HTTP status.
    faults
        Everything that is wrong with what was sent, if that is the reason.
    retry_after_s
        How long the answer asks to wait before the next try, in seconds.
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
    def of(response: httpx.Response) -> ApiError:
        """Read a problem+json answer, Conductor's shape, or whatever else stands in its place."""
        try:
            problem = response.json()
        except ValueError:
            problem = {}
        if not isinstance(problem, dict):
            problem = {}
        status = response.status_code
        kind = _KINDS.get(status, ApiError)
        message = problem.get("detail") or _message(problem, kind) or response.reason_phrase
        seconds = response.headers.get("Retry-After", "")
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
    """Return what a body in Conductor's shape says, or what is known of such errors."""
    is_silent = problem.get("message") in ("Unauthorized", "Forbidden")  # API Gateway's own.
    return (not is_silent and problem.get("message")) or _MESSAGES.get(kind)


class Unauthorized(ApiError):
    """The token is missing, unknown, or not good for this call."""


class NotFound(ApiError):
    """What the call names does not exist."""


class Conflict(ApiError):
    """What the call names stands in a state that does not admit it."""


class TooLarge(ApiError):
    """The input exceeds a limit of size."""


class Invalid(ApiError):
    """The input has faults; `faults` names them all."""


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

#: For answers that say nothing themselves, such as those of the authorizer.
_MESSAGES: dict[type[ApiError], str] = {
    Unauthorized: "The token is missing, unknown, or not good for this.",
}
_NEXT: dict[type[ApiError], str] = {
    Unauthorized: "Set SHIFTWORK_TOKEN to a token that may do this",
    NotFound: "See what there is with: shiftwork requests",
}
