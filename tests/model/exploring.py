"""Visit all states of a case, each once; report a violation with the steps that led to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shiftwork_core.callbacks import CALLBACKS
from shiftwork_platform.guarantees.invariants import Violation
from tests.model.cases import Case
from tests.model.invocations import work
from tests.model.states import NextStep, State
from tests.model.world import World

Progress = Callable[["Found"], None]

_PROGRESS_STATES = 5000
#: A case is not complete beyond this: an actor may go on for ever.
_MOST_STATES = 1_000_000


@dataclass(slots=True)
class Found:
    """What an exploration found. `trace` has the steps that led to the violation, if any."""

    states: int = 0
    steps: int = 0
    #: States in which nobody can act any more, until time passes and the sweeps run.
    ends: int = 0
    #: The number of orders in which the steps can be taken, from the first state to an end.
    interleavings: int = 0
    is_complete: bool = False
    violation: Violation | None = None
    trace: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Visit:
    """A state on the path that is explored now."""

    state: State
    key: Any
    left: Iterator[NextStep]
    label: str = ""
    ways: int = 0


class Explorer:
    """The exploration of a case. It does not follow a state again that it has visited."""

    def __init__(self, case: Case, progress: Progress | None) -> None:
        self.found = Found()
        self.world = World(case)
        self._progress = progress
        self._way: list[_Visit] = []
        self._ways_from: dict[Any, int] = {}

    def explore(self) -> None:
        """Visit every state, or `_MOST_STATES` of them."""
        self._enter(self.world.first())
        while self._way and self.found.states < _MOST_STATES:
            visit = self._way[-1]
            step = next(visit.left, None)
            if step is None:
                self._leave(visit)
                continue
            visit.label = step.label
            state = step.take()
            self.found.steps += 1
            key = state.key()
            if key in self._ways_from:
                visit.ways += self._ways_from[key]
            else:
                self._enter(state)
        self.found.is_complete = not self._way

    def trace(self) -> list[str]:
        """Return the steps that led to the current state, and from there to a violation."""
        lines = [self.world.describe(visit.state, visit.label) for visit in self._way]
        if self._way and self.world.is_quiet(self._way[-1].state):
            with suppress(Violation):
                lines += [label for label, _ in self.world.settle(self._way[-1].state)]
        return lines

    def _enter(self, state: State) -> None:
        key = state.key()
        visit = _Visit(state, key, self.world.steps(state))
        self._way.append(visit)
        self._ways_from[key] = 0
        self.found.states += 1
        if self.world.is_quiet(state):
            self.found.ends += 1
            visit.ways = 1
            for _ in self.world.settle(state):
                pass
        if self._progress is not None and self.found.states % _PROGRESS_STATES == 0:
            self._progress(self.found)

    def _leave(self, visit: _Visit) -> None:
        self._ways_from[visit.key] = visit.ways
        self._way.pop()
        if self._way:
            self._way[-1].ways += visit.ways
        else:
            self.found.interleavings = visit.ways


def explore(case: Case, progress: Progress | None = None) -> Found:
    """Visit every state of a case, or stop at the first violation."""
    explorer = Explorer(case, progress)
    found = explorer.found
    before, disabled = dict(CALLBACKS), logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    CALLBACKS["work"] = partial(work, explorer.world)
    try:
        explorer.explore()
    except Violation as violation:
        found.violation = violation
        found.trace = explorer.trace()
    finally:
        CALLBACKS.clear()
        CALLBACKS.update(before)
        logging.disable(disabled)
    return found
