"""The pauses between polls that find no task: they grow, and end when a task comes."""

from __future__ import annotations

import random
from collections.abc import Callable

#: A server that is asked less often gives a lapsed lease back too late: see guarantee 28.
LONGEST_PAUSE_S = 4.0
_GROWTH = 1.5
#: Between this part of a pause and the whole of it, chance decides: processes that were started
#: together, or that one answer has woken, soon poll at different times.
_LEAST = 0.75


def mean_pause_s(length_s: float) -> float:
    """Return how long a pause of this length is on average, as chance shortens it."""
    return length_s * (1.0 + _LEAST) / 2


class Pauses:
    """The pauses of one process: the workers of all its types and threads share its polls.

    Parameters
    ----------
    draw
        Returns a random number from 0 to 1.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._length_s = 0.0

    def end(self) -> None:
        """Begin with the shortest pause again: a task has come."""
        self._length_s = 0.0

    def next_s(self, shortest_s: float) -> float:
        """Return the next pause: never shorter than the given one, nor longer than 4 s, or it."""
        longest_s = max(LONGEST_PAUSE_S, shortest_s)
        self._length_s = min(max(self._length_s * _GROWTH, shortest_s), longest_s)
        return max(shortest_s, self._length_s * (_LEAST + (1.0 - _LEAST) * self._draw()))
