"""Simulate a process: it has a clock of its own, its calls may fail, and it may die at any call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from shiftwork_core.errors import Throttled, Unavailable
from shiftwork_core.ports.world import Key, Result
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.hub import Group, Killed
from shiftwork_platform.cloud.threads import side_by_side
from shiftwork_platform.wiring import LEASE

if TYPE_CHECKING:
    from shiftwork_platform.cloud.cloud import Cloud

Answer = TypeVar("Answer")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

#: How far a process's clock may be off, either way.
MAX_SKEW_S = 2.0
#: A stall may take several leases.
_LONGEST_STALL_S = 3 * LEASE.total_seconds()
_LONGEST_CALL_S = 2.0
#: How long a call takes that is throttled at every attempt of its client library.
_RETRIES_S = 3.0
#: How late a request may still arrive after its sender has given it up.
_LONGEST_ECHO_S = 30.0
#: How long a transaction's rows may be seen apart.
_LONGEST_TEAR_S = 0.5

#: Calls that only read: sending them twice or late changes nothing.
_READS = {
    *("get", "of_step", "find", "due", "get_step", "steps", "attempts_to_wake", "latest"),
    *("queued", "queue_size", "get_many", "logs", "slots", "running"),
    *("all", "upcoming", "look", "remember", "plan"),
}
#: Calls that write several rows in one transaction.
_TRANSACTIONS = {
    *("create", "complete", "retry", "fail", "put_back", "claim_limited"),
    "insert_workspace_lifecycle_job",
    "update_workspace_lifecycle_job_by_id",
    "update_workspace_lifecycle_job_with_cancel_by_id",
    "update_workspace_lifecycle_job_with_complete_by_id",
}


def moment(seconds: float) -> datetime:
    """Return the virtual time as stores keep it, to the millisecond."""
    return EPOCH + timedelta(milliseconds=int(seconds * 1000))


class Process(Group):
    """What dies as a whole: the environment of a function, or a worker."""

    __slots__ = ("_cloud", "claim_ids", "jump_s", "on_death", "skew_s")

    def __init__(self, cloud: Cloud, name: str) -> None:
        super().__init__(name)
        self._cloud = cloud
        faults = cloud.faults
        self.skew_s = faults.offset(MAX_SKEW_S) if faults.strikes(Fault.SKEWED) else 0.0
        #: How far its clock has jumped. It does not jump back, so the process is not used again.
        self.jump_s = 0.0
        self.on_death: Callable[[], None] | None = None
        #: The ids of the claims of its present call, which it may not have checked afterwards.
        self.claim_ids: list[str] = []

    def clock(self) -> datetime:
        """Return the time by this process's clock."""
        return moment(self._cloud.hub.now + self.skew_s + self.jump_s)

    def kill(self) -> None:
        """End it at once."""
        if not self.is_dead:
            self._cloud.note("dies")
            self._cloud.lost_claims(self.claim_ids)
            self._cloud.hub.kill(self)
            if self.on_death is not None:
                self.on_death()

    # -- calls ---------------------------------------------------------------------------------

    def call(self, name: str, method: Callable[..., Answer], *args: Any, **kwargs: Any) -> Answer:
        """Make a call: others may act before it, and faults may strike."""
        cloud = self._cloud
        cloud.hub.pause()
        fault = cloud.fault_at_call(name)
        try:
            if fault is not None:
                answer = self._with_fault(fault, name, partial(method, *args, **kwargs))
            elif name in _TRANSACTIONS and cloud.faults.strikes(Fault.TORN):
                answer = self._torn(partial(method, *args, **kwargs))
            else:
                answer = method(*args, **kwargs)
        except Exception as error:
            cloud.note(name, args, kwargs, error, fault)
            raise
        cloud.after_event()
        cloud.note(name, args, kwargs, answer, fault)
        return answer

    def _with_fault(self, fault: Fault, name: str, call: Callable[[], Answer]) -> Answer:
        cloud = self._cloud
        is_read = name in _READS
        is_before = cloud.faults.is_heads()
        match fault:
            case Fault.THROTTLED:
                raise Throttled("too many requests")
            case Fault.STARVED:
                cloud.hold_up(_RETRIES_S)
                raise Throttled("too many requests, for a while")
            case Fault.REQUEST_LOST:
                raise Unavailable("the request was lost")
            case Fault.REPLY_LOST:
                if not is_read:
                    call()
                    cloud.after_event()
                raise Unavailable("the reply was lost")
            case Fault.SENT_TWICE if not is_read:
                call()
                cloud.after_event()
                cloud.hub.pause()
                return call()
            case Fault.ECHO if not is_read:
                cloud.echo(name, call, cloud.faults.seconds(_LONGEST_ECHO_S))
            case Fault.KILLED:
                if not is_before:
                    call()
                    cloud.after_event()
                self.kill()
                raise Killed
            case Fault.STALLED | Fault.SLOW:
                longest = _LONGEST_STALL_S if fault is Fault.STALLED else _LONGEST_CALL_S
                seconds = cloud.faults.seconds(longest)
                if is_before:
                    cloud.hold_up(seconds)
                    return call()
                answer = call()
                cloud.after_event()
                cloud.hold_up(seconds)
                return answer
        return call()

    def _torn(self, call: Callable[[], Answer]) -> Answer:
        """Let plain reads see some rows of a transaction as they were, until it answers."""
        cloud = self._cloud
        tables = cloud.tables
        if tables.committing:
            return call()
        tables.written = {}
        try:
            answer = call()
        finally:
            written, tables.written = tables.written, None
        if len(written) > 1:
            cloud.after_event()
            tables.committing = written
            tables.hidden = {p: row for p, row in written.items() if cloud.faults.is_heads()}
            try:
                cloud.hold_up(cloud.faults.seconds(_LONGEST_TEAR_S))
            finally:
                if tables.committing is written:
                    tables.show()
        return answer

    # -- threads -------------------------------------------------------------------------------

    def side_by_side(
        self, calls: Mapping[Key, Callable[[], Result]], tick_s: Callable[[], float]
    ) -> Iterator[Mapping[Key, Future[Result]]]:
        """Make the calls as actors of this process; see `ports.world.SideBySide`."""
        return side_by_side(self._cloud.hub, self, calls, tick_s)


class Remote:
    """An adapter as a process reaches it: every method is a call, which may fail."""

    def __init__(self, process: Process, adapter: object) -> None:
        self._process = process
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._adapter, name)
        call = partial(self._process.call, name, method)
        setattr(self, name, call)
        return call
