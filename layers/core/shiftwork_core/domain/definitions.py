"""Request types and job types, as the engine reads them.

The API has checked every definition before it is stored, so `from_body` trusts its input.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from shiftwork_core.domain.backoff import Backoff, Jitter, RetryPolicy
from shiftwork_core.domain.payloads import JsonObject


class Kind(StrEnum):
    """What a definition defines."""

    REQUEST_TYPE = "request-type"
    JOB_TYPE = "job-type"


class Target(StrEnum):
    """Who does a job."""

    PYTHON = "python"
    LAMBDA = "lambda"
    HTTP = "http"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Definition:
    """One stored version. `body` is what the user wrote, without kind and name."""

    kind: Kind
    name: str
    version: int
    body: JsonObject
    created_at: str
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One entry of a step: a job, or with `for_each` one job for every item it yields."""

    name: str
    type: str
    for_each: str | None = None
    params: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class StepSpec:
    """An ordered part of a request type."""

    name: str
    jobs: tuple[JobSpec, ...]


@dataclass(frozen=True, slots=True)
class RequestType:
    """A request type's steps. The parameters' schema concerns only the API."""

    name: str
    version: int
    steps: tuple[StepSpec, ...]

    @classmethod
    def from_body(cls, name: str, version: int, body: JsonObject) -> RequestType:
        """Read a stored body."""
        steps = tuple(
            StepSpec(
                step["name"],
                tuple(
                    JobSpec(job["name"], job["type"], job.get("for_each"), job.get("params"))
                    for job in step["jobs"]
                ),
            )
            for step in body["steps"]
        )
        return cls(name, version, steps)


@dataclass(frozen=True, slots=True)
class JobType:
    """A kind of work. `timeout_s` bounds one try; `batch_size` is how many one invocation takes."""

    name: str
    version: int
    target: Target
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float = 60.0
    batch_size: int = 10
    http: JsonObject | None = None
    function: str | None = None

    @property
    def is_polled(self) -> bool:
        """Whether workers take its jobs, rather than RunJobs."""
        return self.target is Target.WORKER

    @classmethod
    def from_body(cls, name: str, version: int, body: JsonObject) -> JobType:
        """Read a stored body; what it leaves out has its default."""
        retry = dict(body.get("retry") or {})
        if "backoff" in retry:
            retry["backoff"] = Backoff(retry["backoff"])
        if "jitter" in retry:
            retry["jitter"] = Jitter(retry["jitter"])
        return cls(
            name=name,
            version=version,
            target=Target(body["target"]),
            retry=RetryPolicy(**retry),
            timeout_s=body.get("timeout_s", 60.0),
            batch_size=body.get("batch_size", 10),
            http=body.get("http"),
            function=(body.get("lambda") or {}).get("function"),
        )
