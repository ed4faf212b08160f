"""What is tried again, and when."""

from __future__ import annotations

import random

from shiftwork.api.errors import ApiError, ShiftworkError

#: The longest wait after a first try that failed, doubled with every other, up to...
_FIRST_BACKOFF_S = 0.2
#: ...this.
_LONGEST_BACKOFF_S = 15.0


def may_pass(error: ShiftworkError) -> bool:
    """Whether the same call may be answered later.

    So may one that was answered by something else, such as a proxy whose server is away.
    """
    if isinstance(error, ApiError):
        return error.status >= 500 or error.status in (408, 409, 425, 429)
    return True


def backoff_s(tries: int) -> float:
    """Return how long to wait after so many tries: half of it is chance."""
    longest_s = min(_FIRST_BACKOFF_S * 2.0 ** min(tries - 1, 10), _LONGEST_BACKOFF_S)
    return longest_s * random.uniform(0.5, 1.0)
