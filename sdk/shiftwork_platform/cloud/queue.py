"""SQS, and the stream of new lifecycle jobs.

A queue delivers messages after their delay, at least once, in any order, and drops them after five
receives; what RetryJobs may act on together comes in one call. The stream delivers new jobs in the
order in which they were written, at least once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.wake_ups import together
from shiftwork_core.domain.workspaces.records import LifecycleJob
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.functions import FunctionError

if TYPE_CHECKING:
    from shiftwork_platform.cloud.cloud import Cloud

#: As template.yaml has them.
VISIBILITY_TIMEOUT_S = {"retry_jobs": 180.0, "switch_workspaces": 360.0}
MAX_RECEIVES = 5
#: How often a record of the stream is delivered at most.
_STREAM_TRIES = 3
_STREAM_RETRY_S = 1.0

_LONGEST_DELAY_S = 300.0
_DELIVERY_S = 0.2


class Queue:
    """A queue and its event source mapping."""

    def __init__(self, cloud: Cloud, function: str) -> None:
        self._cloud = cloud
        self._function = function
        #: How long messages of RetryJobs are gathered for a call.
        self.gathered_s = _DELIVERY_S
        #: The messages of RetryJobs that have arrived, and wait for a call.
        self._visible: list[JsonObject] = []

    def send(self, message: JsonObject, delay_s: float) -> None:
        """Keep the message until somebody has handled it."""
        faults = self._cloud.faults
        if faults.strikes(Fault.MESSAGE_LOST):
            return
        for _ in range(2 if faults.strikes(Fault.MESSAGE_DOUBLED) else 1):
            late_s = faults.seconds(_LONGEST_DELAY_S) if faults.strikes(Fault.MESSAGE_LATE) else 0
            wait_s = delay_s + late_s + faults.seconds(_DELIVERY_S)
            work = partial(self._deliver, message)
            name = next(iter(message.values()))
            self._cloud.hub.spawn_after(wait_s, f"message {name}", work)

    def _deliver(self, message: JsonObject) -> None:
        hub = self._cloud.hub
        for group in self._received(message):
            hub.spawn(f"call of {self._function}", partial(self._call, group))

    def _received(self, message: JsonObject) -> list[Any]:
        """Return what the function is called with."""
        if self._function != "retry_jobs":
            return [message]
        with self._cloud.hub.lock:
            self._visible.append(message)
        self._cloud.hub.sleep(self.gathered_s)
        with self._cloud.hub.lock:
            received, self._visible = self._visible, []
        return together((one, one) for one in received)

    def _call(self, event: Any) -> None:
        hub = self._cloud.hub
        for _ in range(MAX_RECEIVES):
            try:
                self._cloud.functions.call(self._function, event)
                return
            except FunctionError:
                hub.sleep(VISIBILITY_TIMEOUT_S[self._function])


class Stream:
    """The stream of new lifecycle jobs and its event source mapping."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def announce(self, job: LifecycleJob) -> None:
        """Tell SwitchWorkspaces of a new job."""
        faults = self._cloud.faults
        late_s = faults.seconds(_LONGEST_DELAY_S) if faults.strikes(Fault.MESSAGE_LATE) else 0.0
        copies = 2 if faults.strikes(Fault.EVENT_DOUBLED) else 1
        for _ in range(copies):
            work = partial(self._deliver, job.id, late_s + faults.seconds(_DELIVERY_S))
            self._cloud.hub.spawn(f"new job {job.id}", work)

    def _deliver(self, job_id: str, wait_s: float) -> None:
        hub = self._cloud.hub
        hub.sleep(wait_s)
        for _ in range(_STREAM_TRIES):
            try:
                self._cloud.functions.call("switch_workspaces", {"new": job_id})
                return
            except FunctionError:
                hub.sleep(_STREAM_RETRY_S)
