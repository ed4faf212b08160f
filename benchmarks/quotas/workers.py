"""Workers that poll as our SDK's do: an exchange brings results, and returns jobs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from benchmarks.quotas.model import Model
from shiftwork_core.services.polling.reports import Report, ReportStatus
from shiftwork_core.services.polling.tasks import Exchanged, Want
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.wiring import Services

#: How long a worker waits after an exchange that brought nothing, and after one that failed.
_IDLE_S = 0.5
#: So much apart they begin to poll.
_APART_S = 0.01


@dataclass(frozen=True)
class Crew:
    """Workers of one job type.

    Attributes
    ----------
    size:
        How many they are.
    room:
        How many jobs each does side by side.
    job_s:
        How long a job takes.
    shards:
        Of the type's queue.
    """

    size: int
    room: int = 10
    job_s: float = 1.0
    shards: int = 1

    def start(self, model: Model, job_type: str) -> None:
        """Let them poll from now on."""
        for number in range(self.size):
            name = f"worker {number}"
            model.hub.spawn(name, partial(self._work, model, name, job_type, number * _APART_S))

    def _work(self, model: Model, name: str, job_type: str, after_s: float) -> None:
        model.hub.sleep(after_s)
        wants = [Want(job_type, self.room)]
        reports: list[Report] = []
        exchanges = 0
        while True:
            exchanges += 1
            call = partial(_exchange, name, f"{name}/{exchanges}", reports, wants)
            answer = self._answer(model, call)
            reports = [
                Report(task.attempt.attempt_id, ReportStatus.COMPLETED, {}, worker_id=name)
                for task in answer.tasks
            ]
            model.hub.sleep(self.job_s if reports else _IDLE_S)

    def _answer(self, model: Model, call: partial[Exchanged]) -> Exchanged:
        """Make the call until it is answered."""
        while True:
            try:
                answer: Exchanged = model.functions.call("serve_tasks", call)
            except FunctionError:
                model.hub.sleep(_IDLE_S + model.draw())
            else:
                return answer


def _exchange(
    name: str, exchange_id: str, reports: list[Report], wants: list[Want], services: Services
) -> Exchanged:
    return services.tasks.exchange(name, reports, wants, [], exchange_id=exchange_id)
