"""Decide whether an error is retried, and after how long, by the job type's policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shiftwork_core.domain.backoff import doubled

#: Draws one number from [0, 1).
Draw = Callable[[], float]


class Backoff(StrEnum):
    """How the delay grows with the number of attempts."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class Jitter(StrEnum):
    """How the delay is spread. `full` draws it from zero up, which spreads a herd best."""

    FULL = "full"
    NONE = "none"


#: Errors of the program: the next attempt would run into the same.
PROGRAM_ERRORS = frozenset(
    {
        *("TypeError", "AttributeError", "NameError", "ImportError", "SyntaxError"),
        *("NotImplementedError", "AssertionError"),
        # Its author has left the debugger.
        "BdbQuit",
    }
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a job is retried after a recoverable error.

    `scale` multiplies a linear delay, as Conductor's backoffScaleFactor does. `on` and `not_on` are
    names of exceptions, such as `TimeoutError` or `requests.exceptions.Timeout`.
    """

    max_attempts: int = 3
    backoff: Backoff = Backoff.EXPONENTIAL
    delay_s: float = 2.0
    max_delay_s: float = 60.0
    jitter: Jitter = Jitter.FULL
    scale: float = 1.0
    on: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()

    def retries(self, names: Sequence[str]) -> bool:
        """Whether an exception is recoverable, given the names of its class and of its bases.

        The first that the policy names decides. If it names none of them, an exception is
        recoverable unless the policy says which are, or it is an error of the program.
        """
        for name in names:
            if name in self.not_on:
                return False
            if name in self.on:
                return True
        return not self.on and PROGRAM_ERRORS.isdisjoint(names)

    def delay_after(self, tries: int, draw: Draw) -> float:
        """Return the seconds to wait after attempt number `tries` (from 1) has failed.

        Linear is `delay x scale x tries`, exponential `delay x 2^(tries-1)`; then the cap, then the
        jitter.
        """
        match self.backoff:
            case Backoff.FIXED:
                delay_s = self.delay_s
            case Backoff.LINEAR:
                delay_s = self.delay_s * self.scale * tries
            case Backoff.EXPONENTIAL:
                delay_s = doubled(self.delay_s, tries)
        delay_s = min(delay_s, self.max_delay_s)
        return delay_s * draw() if self.jitter is Jitter.FULL else delay_s
