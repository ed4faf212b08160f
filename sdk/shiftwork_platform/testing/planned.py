"""Faults that a test asks for: each strikes at its call, so often, and nothing else goes wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches

from shiftwork_platform.cloud.faults import Fault, NoFaults

#: The moments at which a test may let something go wrong, with the calls that are made then.
MOMENTS = {
    "submit": ("create",),
    "plan": ("add_step",),
    "claim": ("claim", "claim_queued", "claim_limited"),
    "outcome": ("complete", "retry", "fail"),
    "settle": ("enter_step", "finish"),
}


@dataclass(slots=True)
class _Planned:
    calls: tuple[str, ...]
    fault: Fault
    is_before: bool
    left: int


class PlannedFaults(NoFaults):
    """No fault but those that are planned; nothing takes time by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._planned: list[_Planned] = []
        self._strikes: Counter[Fault] = Counter()
        self._is_before = False

    def plan(self, moment: str, fault: Fault, *, is_before: bool = False, times: int = 1) -> None:
        """Let a fault strike at the next calls of a moment.

        Raises
        ------
        ValueError
            If there is no such moment.
        """
        if moment not in MOMENTS:
            close = get_close_matches(moment, MOMENTS, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{moment!r} is none of the moments {', '.join(MOMENTS)}{hint}")
        self._planned.append(_Planned(MOMENTS[moment], fault, is_before, times))

    def plan_strikes(self, fault: Fault, times: int) -> None:
        """Let a fault strike where it next can."""
        self._strikes[fault] += times

    def at_call(self, name: str) -> Fault | None:
        """Return the fault that is planned for this call."""
        for planned in self._planned:
            if planned.left and name in planned.calls:
                planned.left -= 1
                self._is_before = planned.is_before
                return planned.fault
        return None

    def strikes(self, kind: Fault) -> bool:
        """Whether this kind is planned to strike."""
        if self._strikes[kind] <= 0:
            return False
        self._strikes[kind] -= 1
        return True

    def is_heads(self) -> bool:
        """Whether the fault that was planned strikes before the call."""
        return self._is_before
