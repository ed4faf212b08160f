"""Time stands still while an author looks at a job."""

from __future__ import annotations

import pytest

from shiftwork_platform.dev import debugging
from shiftwork_platform.dev.debugging import Stopwatch


class Time:
    """The system's clock, which moves as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr(debugging, "time", found)
    return found


def test_the_watch_stands_while_anybody_looks_and_goes_on_from_there(clock: Time) -> None:
    watch = Stopwatch()
    clock.now += 5
    assert watch.stood_s() == 0
    watch.stand()
    clock.now += 1000
    watch.stand()
    watch.go_on()
    clock.now += 1000
    assert watch.stood_s() == 2000
    watch.go_on()
    clock.now += 3
    assert watch.stood_s() == 2000
    watch.stand()
    clock.now += 1
    watch.go_on()
    assert watch.stood_s() == 2001


def test_a_process_that_an_editor_stops_adds_what_it_has_missed(
    clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, ticks = Stopwatch(), iter([0.5, 60.5, 0.5])

    def sleep(seconds: float) -> None:
        clock.now += next(ticks)

    monkeypatch.setattr(clock, "sleep", sleep, raising=False)
    with pytest.raises(StopIteration):
        debugging._notice_stops(watch)
    assert watch.stood_s() == 60.5
