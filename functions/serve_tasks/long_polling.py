"""Looking again and again for a while, for callers who ask for that."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

#: Between two looks.
TICK_S = 0.5

T = TypeVar("T")


def look_until(
    look: Callable[[], list[T]], limit_s: float, *, is_vain: Callable[[], bool] = lambda: False
) -> list[T]:
    """Return what `look` finds, at once or in later looks, none of which begins after `limit_s`.

    None begins either once it would be in vain.
    """
    deadline = monotonic() + limit_s
    while not (found := look()) and not is_vain() and monotonic() + TICK_S <= deadline:
        sleep(TICK_S)
    return found
