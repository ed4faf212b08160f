"""Retry AWS calls, and tell errors that may pass from those that will not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from shiftwork_core.domain.backoff import doubled
from shiftwork_core.errors import Throttled, Transient, Unavailable

_THROTTLED = {
    "ThrottlingException",
    "ThrottledException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ProvisionedThroughputExceededException",
    "SlowDown",
}
#: Refusals that mean only that the call did not arrive complete.
_BROKEN_OFF = {"RequestTimeout", "RequestTimeoutException"}
_NO_ANSWER = (ConnectionError, HTTPClientError)

#: Attempts of one call, and the longest wait before the second; each later bound is twice the last,
#: up to the longest: many that are throttled together leave no quota unused while they wait. A call
#: that fails every time waits for three seconds in all, on average.
MAX_TRIES = 12
_FIRST_WAIT_S = 0.025
_LONGEST_WAIT_S = 0.8


def wait_after(attempts: int, draw: Callable[[], float]) -> float:
    """Return the seconds to wait after so many failed attempts: random, and growing with them."""
    return draw() * min(doubled(_FIRST_WAIT_S, attempts), _LONGEST_WAIT_S)


def retries(draw: Callable[[], float]) -> Callable[..., float | None]:
    """Return a handler of botocore's event `needs-retry`: the seconds to wait, None to give up.

    It replaces botocore's own, which after throttling waits up to 1 s, 2 s, 4 s...: when many calls
    are throttled, a request spends most of its time waiting, and the Lambda that waits is paid for
    (docs/decisions/0008). Here the waits are those of botocore after other errors, and a call has
    more attempts before its caller must start over.

    Parameters
    ----------
    draw:
        Return a random number of [0, 1), so that those throttled together do not return together.
    """

    def wait_s(
        response: Any, attempts: int, caught_exception: Exception | None, **_: Any
    ) -> float | None:
        if attempts >= MAX_TRIES or _passing_error(response, caught_exception) is None:
            return None
        return wait_after(attempts, draw)

    return wait_s


def _passing_error(response: Any, caught: Exception | None) -> type[Transient] | None:
    """Return the error if it may pass, else None. botocore's response is a pair: HTTP, JSON."""
    if response is None:
        return Unavailable if isinstance(caught, _NO_ANSWER) else None
    http, parsed = response
    return _transient(parsed.get("Error", {}).get("Code", ""), http.status_code)


def _transient(code: str, status: int) -> type[Transient] | None:
    if code in _THROTTLED:
        return Throttled
    return Unavailable if status >= 500 or code in _BROKEN_OFF else None


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors that may pass into `Transient`; every other one is a bug and escapes."""
    try:
        yield
    except ClientError as error:
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        transient = _transient(error.response["Error"]["Code"], status)
        if transient is None:
            raise
        raise transient(str(error)) from error
    except _NO_ANSWER as error:
        raise Unavailable(str(error)) from error
