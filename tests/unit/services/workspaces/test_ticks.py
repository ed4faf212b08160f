"""A tick's calls, side by side: a call that hangs holds up its batch for a while, no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.services.workspaces.ticks import TickCalls
from tests.world.world import Clock

MAX_WAIT = timedelta(seconds=25)


class Hanging:
    """Runs calls side by side, one of which never ends: it gives up after a thousand rounds."""

    def __init__(self, clock: Clock, every_s: float) -> None:
        self._clock = clock
        self._every_s = every_s
        self.batches: list[int] = []

    def __call__(
        self, calls: Mapping[Any, Callable[[], Any]], tick_s: Callable[[], float]
    ) -> Iterator[Mapping[Any, Future[Any]]]:
        self.batches.append(0)
        for call in calls.values():
            call()
        for _ in range(1000):
            self._clock.advance(self._every_s)
            self.batches[-1] += 1
            yield {}


def made(hanging: Hanging, clock: Clock, count: int, max_wait: timedelta | None) -> list[str]:
    """Let a tick make so many calls; return which were made."""
    calls: list[str] = []
    tick = TickCalls(hanging, clock, "id", "left for the next tick", "cannot be done", max_wait)
    names = [str(number) for number in range(count)]
    tick.make({name: lambda name=name: calls.append(name) for name in names})  # type: ignore[misc]
    return calls


@pytest.mark.parametrize(
    ("every_s", "rounds"), [pytest.param(10, 3, id="beyond"), pytest.param(5, 6, id="at its end")]
)
def test_a_tick_waits_for_a_batch_for_a_bounded_time(every_s: float, rounds: int) -> None:
    clock = Clock()
    hanging = Hanging(clock, every_s)
    made(hanging, clock, 1, MAX_WAIT)
    assert hanging.batches == [rounds]


def test_a_batch_that_hangs_does_not_keep_the_next_from_being_made() -> None:
    clock = Clock()
    hanging = Hanging(clock, 10)
    assert len(made(hanging, clock, 17, MAX_WAIT)) == 17
    assert hanging.batches == [3, 3]


def test_without_a_bound_a_tick_waits_until_every_call_has_ended() -> None:
    clock = Clock()
    hanging = Hanging(clock, 10)
    made(hanging, clock, 1, None)
    assert hanging.batches == [1000]
