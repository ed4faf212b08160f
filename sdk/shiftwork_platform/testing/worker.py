"""A worker that polls for the jobs of a test, and does what the test says."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

from shiftwork_core.domain.requests.outcomes import Completed, Retryable
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.ports.world import JobInput
from shiftwork_core.services.polling.lookup import HeldTask
from shiftwork_core.services.polling.reports import Report, ReportStatus
from shiftwork_core.services.polling.tasks import Exchanged, Want
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.hub import Signal
from shiftwork_platform.cloud.process import EPOCH, Process
from shiftwork_platform.cloud.services import Services

if TYPE_CHECKING:
    from shiftwork_platform.testing.deployment import Deployment

NAME = "test-worker"
#: How many jobs it does at once.
_ROOM = 100
#: Seconds until it is started again after it died, and until it repeats a call that failed.
_RESTART_S = 1.0
_REPEAT_S = 1.0
#: At least so often it looks into its queues while something waits there.
_LOOK_S = 10.0


@dataclass(slots=True)
class _Held:
    task: HeldTask
    stop: Event = field(default_factory=Event)


class StubWorker:
    """A worker that is started again whenever it dies."""

    def __init__(self, deployment: Deployment, types: list[str]) -> None:
        self._deployment = deployment
        self._types = types
        self._woken = Signal(deployment.hub)

    def live(self) -> None:
        """Keep a process running."""
        hub = self._deployment.hub
        while True:
            process = Process(self._deployment, NAME)
            died = Signal(hub)
            process.on_death = died.set
            hub.spawn(NAME, partial(self._work, process), process)
            hub.wait(died)
            hub.sleep(_RESTART_S)

    def wake(self) -> None:
        """Look into the queues, and report what is done."""
        self._woken.set()

    def _work(self, process: Process) -> None:
        hub = self._deployment.hub
        held: dict[str, _Held] = {}
        reports: list[Report] = []

        def do(one: _Held) -> None:
            report = self._do(one)
            if held.pop(report.attempt_id, None) is not None:
                reports.append(report)
                self.wake()

        while True:
            self._woken = Signal(hub)
            sent = list(reports)
            answer = self._exchange(sent, list(held))
            if answer is None:
                hub.sleep(_REPEAT_S)
                continue
            del reports[: len(sent)]
            for attempt_id in answer.stop:
                if one := held.pop(attempt_id, None):
                    one.stop.set()
            for task in answer.tasks:
                one = held[task.attempt.attempt_id] = _Held(task)
                hub.spawn(f"{NAME}/job", partial(do, one), process)
            if not reports:
                hub.wait(self._woken, self._until_next(held))

    def _until_next(self, held: dict[str, _Held]) -> float | None:
        """Return after how many seconds to look again; None if only something new wants it."""
        now = self._deployment.hub.now
        leases = [one.task.job_type.worker.response_timeout_s / 3 for one in held.values()]
        waiting = [
            _LOOK_S if row.wake_at is None else (row.wake_at - EPOCH).total_seconds() - now
            for row in self._deployment.tables.polled.values()
            if row.status is AttemptStatus.NEW
        ]
        # A little later than it is ready, by the clock of a process that keeps milliseconds.
        found = [*leases, *(max(seconds, 0.0) + 0.001 for seconds in waiting)]
        return min(found, default=None)

    def _exchange(self, reports: list[Report], running: list[str]) -> Exchanged | None:
        room = max(0, _ROOM - len(running))
        call = partial(
            _exchange,
            reports=reports,
            wants=[Want(name, room) for name in self._types] if room else [],
            running=running,
            exchange_id=f"x{next(self._deployment.ids)}",
        )
        for _ in range(3):
            with suppress(FunctionError):
                answer: Exchanged = self._deployment.functions.call("serve_tasks", call)
                return answer
            self._deployment.hub.sleep(_REPEAT_S)
        return None

    def _do(self, one: _Held) -> Report:
        task = one.task
        given = JobInput(task.attempt, task.params, task.extras, task.item, one.stop)
        outcome = self._deployment.callbacks.run(task.job_type, given)
        report = partial(Report, task.attempt.attempt_id, worker_id=NAME, fence=task.attempt.fence)
        if isinstance(outcome, Completed):
            return report(status=ReportStatus.COMPLETED, output=outcome.output)
        is_retry = isinstance(outcome, Retryable)
        status = ReportStatus.FAILED if is_retry else ReportStatus.TERMINAL
        return report(status=status, output={}, reason=outcome.error.message)


def _exchange(services: Services, **values: Any) -> Exchanged:
    return services.tasks.exchange(NAME, **values)
