"""Draw docs/states.md from the transition tables: `python tools/draw_states.py`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from shiftwork_core.domain.requests.states import (
    ATTEMPT_TRANSITIONS,
    REQUEST_TRANSITIONS,
    AttemptEvent,
    AttemptStatus,
    Refused,
    RequestEvent,
    RequestStatus,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "states.md"

_INTRODUCTION = """\
# States

`tools/draw_states.py` draws this page from the tables in
`layers/core/shiftwork_core/domain/requests/states.py`; a test compares the two. The tables decide
every pair of state and event: it leads to a state, or it is refused for a reason.
"""


def draw() -> str:
    """Return the page."""
    request = _section("A request", RequestStatus, RequestEvent, REQUEST_TRANSITIONS)
    attempt = _section("An attempt", AttemptStatus, AttemptEvent, ATTEMPT_TRANSITIONS)
    return "\n".join([_INTRODUCTION, request, attempt])


def _section(
    title: str, statuses: type[StrEnum], events: type[StrEnum], table: Mapping[Any, object]
) -> str:
    lines = [f"## {title}", "", "```mermaid", "stateDiagram-v2"]
    lines.append(f"    [*] --> {next(iter(statuses)).value}")
    moves = [(s, e, table[s, e]) for s in statuses for e in events]
    lines += [
        f"    {s.value} --> {to.value}: {e.value}" for s, e, to in moves if isinstance(to, StrEnum)
    ]
    lines += ["```", "", "| | " + " | ".join(events) + " |", "| --- " * (len(events) + 1) + "|"]
    for status in statuses:
        cells = [_cell(table[status, event]) for event in events]
        lines.append(f"| **{status.value}** | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _cell(to: object) -> str:
    return f"refused: {to.reason}" if isinstance(to, Refused) else f"-> {to}"


if __name__ == "__main__":
    PAGE.write_text(draw())
