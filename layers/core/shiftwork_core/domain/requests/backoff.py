"""Compute how long a retry waits, by its job type's policy."""

from __future__ import annotations

from collections.abc import Callable
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


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a job is retried after a recoverable error.

    `scale` multiplies a linear delay, as Conductor's backoffScaleFactor does.
    """

    max_attempts: int = 3
    backoff: Backoff = Backoff.EXPONENTIAL
    delay_s: float = 2.0
    max_delay_s: float = 60.0
    jitter: Jitter = Jitter.FULL
    scale: float = 1.0

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
