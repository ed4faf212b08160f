"""How the local stack says what it does."""

from __future__ import annotations

from collections.abc import Callable

#: Takes one line on what is being done now, such as "starting the emulator".
Report = Callable[[str], None]


def silent(line: str) -> None:
    """Report nothing."""
