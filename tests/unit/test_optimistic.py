"""Writes that are attempted again after another writer has won."""

from __future__ import annotations

import pytest

from shiftwork_core.errors import Throttled
from shiftwork_core.optimistic import (
    LOST,
    MAX_ATTEMPTS,
    Lost,
    attempt_writes,
    write_until_won,
    write_until_won_from,
)

BUSY = Throttled("the row is being changed by many at once")


class Attempts:
    """Loses so many times, each time to the next number, then wins."""

    def __init__(self, losses: int) -> None:
        self.losses = losses
        self.seen: list[int | None] = []

    def with_row(self, seen: int) -> str | Lost[int]:
        self.seen.append(seen)
        return "won" if len(self.seen) > self.losses else Lost(seen + 1)

    def reading(self) -> str | Lost[None]:
        self.seen.append(None)
        return "won" if len(self.seen) > self.losses else LOST


def test_a_write_that_wins_is_made_once() -> None:
    attempts = Attempts(losses=0)
    assert write_until_won(attempts.reading, busy=BUSY) == "won"
    assert len(attempts.seen) == 1


def test_each_loser_begins_again_with_the_winners_row() -> None:
    attempts = Attempts(losses=3)
    assert write_until_won_from(7, attempts.with_row, busy=BUSY) == "won"
    assert attempts.seen == [7, 8, 9, 10]


def test_the_last_attempt_may_still_win() -> None:
    attempts = Attempts(losses=MAX_ATTEMPTS - 1)
    assert write_until_won(attempts.reading, busy=BUSY) == "won"


def test_after_the_last_loss_it_says_that_the_row_is_busy() -> None:
    attempts = Attempts(losses=MAX_ATTEMPTS)
    with pytest.raises(Throttled, match="changed by many"):
        write_until_won(attempts.reading, busy=BUSY)
    assert len(attempts.seen) == MAX_ATTEMPTS


def test_callers_may_bound_the_attempts_themselves() -> None:
    attempts = Attempts(losses=2)
    with pytest.raises(Throttled):
        write_until_won_from(0, attempts.with_row, busy=BUSY, max_attempts=2)
    assert attempts.seen == [0, 1]


def test_a_caller_that_need_not_win_gets_the_last_winner() -> None:
    attempts = Attempts(losses=9)
    assert attempt_writes(0, attempts.with_row, max_attempts=2) == Lost(2)
    assert attempt_writes(0, Attempts(losses=1).with_row, max_attempts=2) == "won"


def test_what_an_attempt_raises_ends_the_attempts() -> None:
    def attempt() -> str | Lost[None]:
        raise ValueError("the change makes no sense")

    with pytest.raises(ValueError, match="no sense"):
        write_until_won(attempt, busy=BUSY)


def test_none_is_a_result() -> None:
    assert write_until_won(lambda: None, busy=BUSY) is None
