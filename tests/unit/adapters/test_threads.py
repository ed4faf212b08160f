"""Calls side by side: the context that each has, and what is known of one that was left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from threading import Barrier, Event, Thread, current_thread

import pytest

from shiftwork_core.adapters.threads import side_by_side, still_running

WAIT_S = 10.0
NAME: ContextVar[str] = ContextVar("NAME", default="nobody")


@pytest.fixture
def may_end() -> Iterator[Event]:
    """Return what the calls of a test wait for; afterwards none is left."""
    event = Event()
    yield event
    event.set()


def leave(key: str, call: Callable[[], object]) -> None:
    """Start a call, and stop looking before it has ended."""
    for ended in side_by_side({key: call}, lambda: 0.001):
        assert not ended
        break


def test_each_call_has_its_callers_context_and_changes_only_its_own() -> None:
    both_have_changed_it = Barrier(2, timeout=WAIT_S)

    def call(name: str) -> tuple[str, str]:
        found = NAME.get()
        NAME.set(name)
        both_have_changed_it.wait()
        return found, NAME.get()

    token = NAME.set("caller")
    try:
        calls = {name: lambda name=name: call(name) for name in ("a", "b")}
        ended = [pair for pairs in side_by_side(calls, lambda: WAIT_S) for pair in pairs.items()]
        assert NAME.get() == "caller"
    finally:
        NAME.reset(token)
    assert {key: future.result() for key, future in ended} == {
        "a": ("caller", "a"),
        "b": ("caller", "b"),
    }


def test_a_call_that_was_left_is_known_until_it_ends(may_end: Event) -> None:
    leave("left", lambda: may_end.wait(WAIT_S))
    assert "left" in still_running(0)
    may_end.set()
    assert "left" not in still_running(WAIT_S)


def test_a_call_that_failed_after_it_was_left_runs_no_more(may_end: Event) -> None:
    def fail() -> None:
        may_end.wait(WAIT_S)
        raise ValueError("too late")

    leave("failing", fail)
    may_end.set()
    assert "failing" not in still_running(WAIT_S)


def test_calls_whose_ends_were_seen_are_known_no_more() -> None:
    assert len(list(side_by_side({"seen": lambda: None}, lambda: WAIT_S))) == 1
    assert "seen" not in still_running(0)


def test_calls_get_the_threads_of_those_before_them() -> None:
    threads: set[Thread] = set()
    for _ in range(10):
        all_run = Barrier(20, timeout=WAIT_S)

        def call(all_run: Barrier = all_run) -> None:
            threads.add(current_thread())
            all_run.wait()

        for ended in side_by_side(dict.fromkeys(range(20), call), lambda: WAIT_S):
            assert all(future.exception() is None for future in ended.values())
    assert len(threads) < 100
