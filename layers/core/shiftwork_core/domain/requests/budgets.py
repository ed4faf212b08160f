"""What evaluating a request's expressions may cost, counted in steps, values and bytes.

The counts depend on the input alone, so the same input is refused on every machine.
"""

from __future__ import annotations

import math

from shiftwork_core.domain.json_bounds import INT_BOUND
from shiftwork_core.domain.payloads import Json

#: One step is one visit of a node of an expression or of a template. Measured with the worst
#: expressions: a million takes 1 to 2 s.
MAX_STEPS = 2_000_000
#: Of one value that an expression builds, and of one job's params. As large as extras may be.
MAX_VALUE_NODES = 1_000_000
MAX_VALUE_BYTES = 6 * 1024 * 1024
#: Of the params and items of all jobs of a step together.
MAX_STEP_NODES = 2_000_000
MAX_STEP_BYTES = 64 * 1024 * 1024
#: A value that an expression builds may be nested deeper than what is stored, but not without end.
MAX_VALUE_DEPTH = 128

#: Weighing so many nodes, or so many bytes, takes as long as a step.
_NODES_PER_STEP = 4
_BYTES_PER_STEP = 1024


class OverBudget(Exception):
    """It would take more than it may. Trying again changes nothing."""


class Budget:
    """What is left of the steps, nodes and bytes that one piece of work may take."""

    def __init__(
        self,
        *,
        steps: int = MAX_STEPS,
        nodes: int = MAX_VALUE_NODES,
        size_bytes: int = MAX_VALUE_BYTES,
    ) -> None:
        self._max_steps, self._steps = steps, steps
        self._max_nodes, self._nodes = nodes, nodes
        self._max_bytes, self._bytes = size_bytes, size_bytes

    @property
    def spent(self) -> tuple[int, int, int]:
        """The steps, nodes and bytes that were taken."""
        return (
            self._max_steps - self._steps,
            self._max_nodes - self._nodes,
            self._max_bytes - self._bytes,
        )

    def spend(self, steps: int) -> None:
        """Take steps.

        Raises
        ------
        OverBudget
            If there are not so many left.
        """
        self._steps -= steps
        if self._steps < 0:
            raise OverBudget(f"it takes more than {self._max_steps:,} steps")

    def weigh(self, value: Json) -> tuple[int, int]:
        """Return a value's nodes and the bytes of its texts, shared parts once for each place.

        Raises
        ------
        OverBudget
            If there are no steps left to look at it, or it is larger or deeper than a value may be.
        ValueError
            If a part of it cannot be written as JSON.
        """
        nodes, size_bytes = _weigh(value)
        self.spend(nodes // _NODES_PER_STEP + size_bytes // _BYTES_PER_STEP)
        return nodes, size_bytes

    def keep(self, nodes: int, size_bytes: int) -> None:
        """Take nodes and bytes for what becomes a part of the result.

        Raises
        ------
        OverBudget
            If there are not so many left.
        """
        self._nodes -= nodes
        self._bytes -= size_bytes
        if self._nodes < 0:
            raise OverBudget(f"the result has more than {self._max_nodes:,} values")
        if self._bytes < 0:
            raise OverBudget(f"the result has more than {self._max_bytes:,} bytes")


def length_of(text: str) -> int:
    """Return how many bytes the text has as UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _weigh(root: Json) -> tuple[int, int]:
    """Return the nodes and bytes of a value; it walks without recursion, and ends at a bound."""
    nodes, size_bytes = 1, 0
    level, depth = [root], 0
    while level:
        below: list[Json] = []
        for value in level:
            if isinstance(value, str):
                size_bytes += length_of(value)
            elif isinstance(value, dict):
                size_bytes += sum(map(length_of, value))
                nodes += len(value)
                below.extend(value.values())
            elif isinstance(value, (list, tuple)):
                nodes += len(value)
                below.extend(value)
            else:
                _require_json(value)
            if nodes > MAX_VALUE_NODES:
                raise OverBudget(f"it yields more than {MAX_VALUE_NODES:,} values")
        if size_bytes > MAX_VALUE_BYTES:
            raise OverBudget(f"it yields more than {MAX_VALUE_BYTES:,} bytes of text")
        level, depth = below, depth + 1
        if depth > MAX_VALUE_DEPTH:
            raise OverBudget(f"it yields what is nested more than {MAX_VALUE_DEPTH} levels deep")
    return nodes, size_bytes


def _require_json(value: object) -> None:
    match value:
        case None | bool():
            return
        case int() if -INT_BOUND <= value < INT_BOUND:
            return
        case float() if math.isfinite(value):
            return
        case int() | float():
            raise ValueError("it yields a number that is out of range")
        case _:
            raise ValueError(f"it yields what JSON does not have: {type(value).__name__}")
