"""Do the jobs of a seed: what an attempt does depends on the seed and on which attempt it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from greenlet import getcurrent, greenlet

from shiftwork_core.adapters.targets.python import PythonTarget
from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.outcomes import Outcome
from shiftwork_core.ports.world import JobInput
from shiftwork_platform.cloud.hub import Killed
from shiftwork_platform.guarantees.invariants import Violation
from tests.simulation.workload import Workload


@dataclass(slots=True)
class Behaviour:
    """The callbacks of a seed: what one does depends on which attempt of which job it is."""

    workload: Workload
    sleep: Callable[[float], None]
    started: Callable[[str, int], None]
    returned: Callable[[str, int, object], None]
    #: What has just passed through a callback and is none of its own, by the actor that did it: its
    #: process died, or an invariant does not hold.
    escaped: dict[greenlet, BaseException] = field(default_factory=dict)

    def __call__(self, job: Job) -> Any:
        """Do one attempt of a job."""
        try:
            return self._do(job)
        except (Killed, Violation) as escaped:
            self.escaped[getcurrent()] = escaped
            raise

    def _do(self, job: Job) -> Any:
        self.started(job.attempt_id, job.fence)
        label = job.params["label"]
        step, number, attempt = job.attempt_id.rsplit(".", 3)[1:]
        random = Random(f"{self.workload.seed} {label} {step} {number} {attempt}")
        mood = self.workload.moods[label]
        if random.random() < mood.slow:
            self.sleep(random.choice([0.1, 3.0, 25.0, 100.0]) * random.random())
        # Later attempts fail less often, so that most requests complete.
        calm = 0.5 ** (job.attempt - 1)
        if random.random() < mood.overlong * calm:
            self.sleep(random.choice([6.0, 40.0, 400.0]))
            if random.random() < 0.5:
                raise Retry("took too long")
        if random.random() < mood.retry * calm:
            raise Retry("again", delay_s=random.choice([None, None, 0, 0.5, 20, 2000]))
        if random.random() < mood.error * calm:
            raise KeyError("untyped")
        if random.random() < mood.failure * calm:
            raise Failure("never")
        size = 10_000 if random.random() < mood.large else 0
        output = {
            f"{step}.{number}": int(attempt),
            "shared": f"{step}.{number}.{attempt}",
            f"s{step}": list(range(random.choice([0, 1, 2, 5]))),
            "large": "x" * size,
        }
        self.returned(job.attempt_id, job.fence, output)
        return output


class Callbacks(PythonTarget):
    """The target of a seed's callbacks: it holds whatever they raise, and nothing else."""

    def __init__(self, behaviour: Behaviour, is_missing: Callable[[], bool]) -> None:
        super().__init__()
        self._behaviour = behaviour
        self._is_missing = is_missing

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        """Do it. Nobody acts between what is raised and the look at it."""
        if self._is_missing():
            return super().run(replace(job_type, name="missing"), job)
        outcome = super().run(job_type, job)
        if (escaped := self._behaviour.escaped.pop(getcurrent(), None)) is not None:
            raise escaped
        return outcome
