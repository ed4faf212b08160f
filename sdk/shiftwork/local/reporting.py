"""The interface by which the local stack reports progress to its caller."""

from __future__ import annotations

from collections.abc import Callable

#: Takes one line about the current step, such as "starting the emulator".
Report = Callable[[str], None]


def silent(line: str) -> None:
    """Report nothing."""
