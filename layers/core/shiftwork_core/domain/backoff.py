"""Delays that double with each attempt."""

from __future__ import annotations

#: Doubling 62 times is past any cap; the bound keeps the number finite.
_MOST_DOUBLINGS = 62


def doubled(first_s: float, attempts: int) -> float:
    """Return the seconds to wait after attempt number `attempts` (from 1): the first, doubled."""
    return first_s * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS)
