"""Every error that the platform raises on purpose. The type says whether a retry helps.

    ShiftworkError
    +-- Transient          trying again later may help
    |   +-- Throttled
    |   +-- Unavailable
    +-- Refusal            trying again changes nothing
        +-- Unauthorized   says why the token is not valid
        +-- Forbidden
        +-- NotFound
        +-- Conflict
        +-- Invalid        names every fault at once
        +-- TooLarge
        +-- Malformed
        +-- UnsupportedMediaType
        +-- MethodNotAllowed
        +-- AnswerTooLarge
        +-- NotOffered     Conductor has it, Shiftwork does not

`shiftwork_core.refusals` says what each is to an HTTP client. What a callback raises (`Retry`,
`Failure`) is in `shiftwork_core.callbacks`.
"""

from __future__ import annotations

from dataclasses import dataclass


class ShiftworkError(Exception):
    """The root of the tree."""


class Transient(ShiftworkError):
    """The same call may succeed later."""


class Throttled(Transient):
    """A service asked to be called less often."""


class Unavailable(Transient):
    """A service did not answer, or answered that it cannot."""


class Refusal(ShiftworkError):
    """The call is refused, and nothing was written.

    Parameters
    ----------
    detail:
        What is wrong, for people.
    next_step:
        What the caller can do about it.
    """

    def __init__(self, detail: str, next_step: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.next_step = next_step


class Unauthorized(Refusal):
    """The call's token is not valid; `code` says why, in words that Conductor's SDKs know."""

    def __init__(self, code: str, detail: str, next_step: str = "") -> None:
        super().__init__(detail, next_step)
        self.code = code


class Forbidden(Refusal):
    """The call's token does not allow this."""


class NotFound(Refusal):
    """The thing that the call names does not exist."""


class Conflict(Refusal):
    """The thing that the call names is in a state that does not allow the call."""


class TooLarge(Refusal):
    """The input exceeds a limit of size."""


class Malformed(Refusal):
    """The body is not JSON."""


class UnsupportedMediaType(Refusal):
    """The call declares its body as something else than JSON."""


class MethodNotAllowed(Refusal):
    """The path exists, with the `allowed` methods only."""

    def __init__(self, detail: str, allowed: list[str]) -> None:
        super().__init__(detail, f"use {' or '.join(allowed)}")
        self.allowed = allowed


class AnswerTooLarge(Refusal):
    """The answer would be larger than Lambda passes on."""


class NotOffered(Refusal):
    """Conductor offers this, and Shiftwork does not."""


@dataclass(frozen=True, slots=True)
class FaultAt:
    """One fault: where in the input, and what is wrong there."""

    path: str
    message: str


class Invalid(Refusal):
    """The input has these faults, all of them."""

    def __init__(self, detail: str, faults: list[FaultAt], next_step: str = "") -> None:
        super().__init__(detail, next_step)
        self.faults = faults
