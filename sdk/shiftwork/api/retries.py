"""Decide whether a failed call is sent again, and after how long."""

from __future__ import annotations

import random
from typing import Any

from shiftwork.api.call import Call
from shiftwork.api.errors import ApiError, ShiftworkError, Unreachable

#: The longest wait after the first failure; it doubles with each further one.
_FIRST_BACKOFF_S = 0.2
#: A client repeats a call three times in quick succession: a stack that is down is reported soon.
_MAX_REPEATS = 3
#: The longest wait that a client grants a Retry-After.
_MAX_RETRY_AFTER_S = 20.0


def backoff_s(failures: int, *, longest_s: float, least: float = 0.0) -> float:
    """Return how long to wait after so many failures in a row.

    Parameters
    ----------
    longest_s
        The wait doubles with each failure up to this, in seconds.
    least
        Between this part of the wait and the whole of it, chance decides.
    """
    wait_s = min(_FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 10), longest_s)
    return wait_s * random.uniform(least, 1.0)


def wait_before_repeat_s(
    call: Call[Any], failures: int, error: ShiftworkError, left_s: float
) -> float:
    """Return how long a client waits before it repeats a call that failed so many times.

    Parameters
    ----------
    left_s
        What is left of the time that the call may take, in seconds.

    Raises
    ------
    ShiftworkError
        The error, if the client does not repeat the call.
    """
    if not call.is_patient or failures > _MAX_REPEATS or not may_repeat(call, error):
        raise error
    asked_s = getattr(error, "retry_after_s", None) or 0.0
    wait_s = backoff_s(failures, longest_s=0.8) + min(asked_s, _MAX_RETRY_AFTER_S)
    if wait_s >= left_s:
        raise error
    return wait_s


def may_repeat(call: Call[Any], error: ShiftworkError) -> bool:
    """Whether the same call may be sent again: it did not arrive, or arriving twice is harmless."""
    match error:
        case Unreachable():
            return call.is_repeatable or not error.is_sent
        case ApiError(status=429):
            return True
        case ApiError(status=status):
            return call.is_repeatable and status in (500, 502, 503, 504)
        case _:
            return False


def is_transient(error: ShiftworkError) -> bool:
    """Whether the same call may succeed later.

    It may if something other than the API answered, such as a proxy whose server is away.
    """
    if isinstance(error, ApiError):
        return error.status >= 500 or error.status in (408, 409, 425, 429)
    return True
