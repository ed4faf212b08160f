"""Write rows that others write too: read, decide, write on a condition, start over if it fails.

An attempt reads a row (or is given the one that won), decides, and writes on condition that nobody
has written since. It returns its result if the write won, else `Lost`, and then another attempt is
made, up to a bound. How to read and what to write is the attempt's business: nothing here touches
a store or a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

#: More losses in a row than this mean that something is wrong, or that the row is far too busy.
MAX_ATTEMPTS = 10

Result = TypeVar("Result")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Lost(Generic[Row]):
    """Somebody else wrote first. `winner` is the row as they left it."""

    winner: Row


#: For attempts that read the row themselves.
LOST: Lost[None] = Lost(None)


def write_until_won(
    attempt: Callable[[], Result | Lost[None]],
    *,
    busy: Exception,
    max_attempts: int = MAX_ATTEMPTS,
) -> Result:
    """Repeat an attempt, which reads the row itself, until it wins; return its result.

    Raises
    ------
    Exception
        `busy`, if every attempt lost.
    """

    def attempt_again(_: None) -> Result | Lost[None]:
        return attempt()

    return write_until_won_from(None, attempt_again, busy=busy, max_attempts=max_attempts)


def write_until_won_from(
    seen: Row,
    attempt: Callable[[Row], Result | Lost[Row]],
    *,
    busy: Exception,
    max_attempts: int = MAX_ATTEMPTS,
) -> Result:
    """Attempt a write with a row that was read, then with each winner's; return the result.

    Raises
    ------
    Exception
        `busy`, if every attempt lost.
    """
    outcome: Result | Lost[Row] = attempt_writes(seen, attempt, max_attempts=max_attempts)
    if isinstance(outcome, Lost):
        raise busy
    return outcome


def attempt_writes(
    seen: Row,
    attempt: Callable[[Row], Result | Lost[Row]],
    *,
    max_attempts: int = MAX_ATTEMPTS,
) -> Result | Lost[Row]:
    """Do as `write_until_won_from` does, but return the last `Lost` if every attempt lost."""
    for _ in range(max_attempts):
        outcome = attempt(seen)
        if not isinstance(outcome, Lost):
            return outcome
        seen = outcome.winner
    return Lost(seen)
