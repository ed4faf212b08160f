"""End this process when a thread outlives the call, for Lambda would freeze both and reuse both.

A thread cannot be killed. Left alone, it would go on in the middle of another call, unseen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.threads import still_running
from shiftwork_core.telemetry import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

#: How long threads that were told to stop may take to do so.
GRACE_S = 5.0
#: The end of an invocation's time, in which nothing is waited for.
_RESERVE_S = 1.0


@contextmanager
def ended_with_the_call(
    context: LambdaContext, name_of: Callable[[Any], str] = str
) -> Iterator[None]:
    """Make calls side by side within this. Afterwards none of them runs, or the process has ended.

    An end fails the call, whatever its result, so whoever made it makes it again. That must do no
    harm: the second call, in a new process, finds what the first has recorded. `name_of` returns
    how the log names the call of a key.
    """
    try:
        yield
    finally:
        grace_s = min(GRACE_S, context.get_remaining_time_in_millis() / 1000 - _RESERVE_S)
        if left := still_running(max(grace_s, 0.0)):
            logger.error(
                "threads do not stop, so their process ends",
                extra={"left": [name_of(key) for key in left]},
                exc_info=sys.exception(),
            )
            sys.stdout.flush()
            # Not `sys.exit`, which waits for the threads.
            os._exit(os.EX_TEMPFAIL)
