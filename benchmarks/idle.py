"""Price an idle worker process: what its polls cost while there is nothing to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.costs import Invocations, gb_s
from shiftwork.worker.pauses import LONGEST_PAUSE_S, mean_pause_s
from shiftwork.worker.poller import WAIT_S

DAY_S = 86_400.0
#: The server reads a queue so often while a call waits: functions/serve_tasks/long_polling.py.
SERVER_INTERVAL_S = 0.5
#: Of one read of an empty queue for a worker with a record, as `python -m benchmarks workers`
#: counted them: 4.6 units a second, at two polls a second.
READ_UNITS_A_POLL = 2.3
#: Calls to AWS of ServeTasks in a poll, and of the authorizer, in a warm environment.
CALLS_A_POLL, CALLS_AN_AUTHORIZATION = 4, 1


@dataclass(frozen=True, slots=True)
class Idle:
    """How a process polls while there is nothing to do.

    Attributes
    ----------
    every_s
        The time from one of its calls to the next.
    held_s
        How long a call holds an invocation of ServeTasks; None: as long as a poll takes.
    polls_a_call
        How often the server reads the queue during a call.
    mean_wait_s, longest_wait_s
        How long the first job waits for its claim; calls themselves, some 20 ms, are left out.
    """

    every_s: float
    held_s: float | None
    polls_a_call: float
    mean_wait_s: float
    longest_wait_s: float

    def usd_a_day(self, prices: dict[str, Any], memory_mb: int) -> float:
        """Return what a day of one process costs at the list prices."""
        calls = DAY_S / self.every_s
        per_million = prices["usd_per_million"]
        # The authorizer is invoked for each request too.
        requests = calls * (per_million["http_api_requests"] + 2 * per_million["lambda_requests"])
        reads = calls * self.polls_a_call * READ_UNITS_A_POLL * per_million["dynamodb_read_units"]
        held = self.held_s
        polling = Invocations(1, CALLS_A_POLL, memory_mb)
        serving = gb_s(polling) if held is None else held * memory_mb / 1024
        authorizing = gb_s(Invocations(1, CALLS_AN_AUTHORIZATION, memory_mb))
        time = calls * (serving + authorizing) * prices["usd_per_lambda_gb_s"]
        return float((requests + reads) / 1e6 + time)

    def environments(self, memory_mb: int) -> float:
        """Return how many environments of ServeTasks one process keeps busy, on average."""
        if self.held_s is not None:
            return self.held_s / self.every_s
        poll_s = gb_s(Invocations(1, CALLS_A_POLL, memory_mb)) / (memory_mb / 1024)
        return poll_s / self.every_s


_MEAN_S = mean_pause_s(LONGEST_PAUSE_S)
#: A job comes at any moment of a pause: it waits for half of one on average, a little more as it
#: comes more often in a longer one.
SHORT_POLLS = Idle(_MEAN_S, None, 1.0, _MEAN_S / 2, LONGEST_PAUSE_S)
LONG_POLL = Idle(
    WAIT_S, WAIT_S, WAIT_S / SERVER_INTERVAL_S, SERVER_INTERVAL_S / 2, SERVER_INTERVAL_S
)
