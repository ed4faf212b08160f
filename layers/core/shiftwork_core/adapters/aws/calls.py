"""How calls of AWS are retried, and their errors told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

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


#: Refusals that say no more than that the call did not arrive whole.
_BROKEN_OFF = {"RequestTimeout", "RequestTimeoutException"}


_NO_ANSWER = (ConnectionError, HTTPClientError)


#: Tries of one call, and the most it waits before the second; before each other twice as long.
#: A call that fails every time waits for three seconds in all, on average.
MAX_TRIES = 9


FIRST_WAIT_S = 0.025


def retries(draw: Callable[[], float]) -> Callable[..., float | None]:
    """Return a handler of botocore's event `needs-retry`: the seconds to wait, None to give up.

    It takes the place of botocore's own, whose waits after throttling are up to 1 s, 2 s, 4 s...:
    when many calls are throttled a request spends most of its time in them, and the Lambda that
    waits is paid for (docs/decisions/0008). Here they are what botocore's are after other errors,
    and a call has more tries before its caller has to begin anew.

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
        longest_s: float = FIRST_WAIT_S * 2 ** (attempts - 1)
        return draw() * longest_s

    return wait_s


def _passing_error(response: Any, caught: Exception | None) -> type[Transient] | None:
    """Return what an answer is that a later one may mend: botocore's pair of answer and JSON."""
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
    """Turn what a later call may mend into `Transient`; everything else is a bug and escapes."""
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
