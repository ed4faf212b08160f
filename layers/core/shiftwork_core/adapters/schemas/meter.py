"""Count the steps of a check, so that no schema and no value takes longer than a bound.

The counts depend on schema and value alone, so the same input is refused on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests.budgets import Budget

#: One step is one keyword of a schema, checked against one value. Measured with the worst schemas:
#: so many take about a second.
MAX_CHECK_STEPS = 200_000


class Meter(Budget):
    """The steps of one check, and what its parts weigh."""

    def __init__(self, steps: int) -> None:
        super().__init__(steps=steps)
        #: Of lists and objects, by their identity: the schema and the value outlive the check.
        self._weights: dict[int, int] = {}

    def weight_of(self, value: Json) -> int:
        """Return how many nodes the value has, and one more for each 64 characters."""
        if isinstance(value, str):
            return 1 + len(value) // 64
        if not isinstance(value, (dict, list)):
            return 1
        weight = self._weights.get(id(value))
        if weight is None:
            weight = self._weights[id(value)] = _weight(value)
            self.spend(weight // 16)
        return weight


def _weight(root: Json) -> int:
    weight, open_ = 0, [root]
    while open_:
        value = open_.pop()
        weight += 1
        if isinstance(value, str):
            weight += len(value) // 64
        elif isinstance(value, dict):
            weight += sum(len(name) for name in value) // 64
            open_.extend(value.values())
        elif isinstance(value, list):
            open_.extend(value)
    return weight


_METER: ContextVar[Meter] = ContextVar("meter")


@contextmanager
def metered(steps: int) -> Iterator[Meter]:
    """Let the checks within take so many steps together."""
    meter = Meter(steps)
    token = _METER.set(meter)
    try:
        yield meter
    finally:
        _METER.reset(token)


def current() -> Meter:
    """Return the meter of the check that is running."""
    return _METER.get()
