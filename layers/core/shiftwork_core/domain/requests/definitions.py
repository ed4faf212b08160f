"""Request types and job types, as the engine reads them.

The API has checked every definition before it is stored, so `from_body` trusts its input.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.backoff import Backoff, Jitter, RetryPolicy


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


#: Who takes jobs that share a row.
BLOCK_TARGETS = frozenset({Target.PYTHON, Target.LAMBDA})


class OnFailure(StrEnum):
    """What a job that fails for good means for the other jobs of its step."""

    #: The request fails at once: no other job starts or is retried; what runs may finish.
    STOP = "stop"
    #: The other jobs run to their end, retries included; then the request fails.
    FINISH = "finish"
    #: The others go on, and so does the request, unless more fail than its entry tolerates. It is
    #: what the attempts of such an entry have; a definition says `tolerate`.
    TOLERATE = "tolerate"


@dataclass(frozen=True, slots=True)
class Definition:
    """One stored version. `body` is what the user wrote, without kind and name.

    `queue_shards` is the most shards that a queue of a job type has had by this version: its jobs
    may wait in any of them.
    """

    kind: Kind
    name: str
    version: int
    body: JsonObject
    created_at: str
    is_deleted: bool = False
    queue_shards: int = 1


class Collect(StrEnum):
    """Where the results of an entry's jobs go once their step has settled."""

    #: They are merged into the extras.
    EXTRAS = "extras"
    #: They are lines of a manifest, which the next step may take its items from.
    MANIFEST = "manifest"
    #: Nowhere: they stay with their jobs.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One entry of a step: a job, or with `for_each` one job for every item it yields.

    With `for_each_in` the items are those of a manifest in S3. With `block`, so many consecutive
    jobs share a row. With `tolerate`, a number or as `5%` a share of its jobs, so many may fail for
    good.
    """

    name: str
    type: str
    for_each: str | None = None
    params: JsonObject | None = None
    block: int | None = None
    tolerate: int | str | None = None
    for_each_in: str | None = None
    collect: Collect = Collect.EXTRAS

    @classmethod
    def from_body(cls, body: JsonObject) -> JobSpec:
        """Read an entry of a stored body."""
        return cls(
            name=body["name"],
            type=body["type"],
            for_each=body.get("for_each"),
            params=body.get("params"),
            block=body.get("block"),
            tolerate=body.get("tolerate"),
            for_each_in=body.get("for_each_in"),
            collect=Collect(body.get("collect") or Collect.EXTRAS),
        )


@dataclass(frozen=True, slots=True)
class StepSpec:
    """An ordered part of a request type."""

    name: str
    jobs: tuple[JobSpec, ...]
    on_failure: OnFailure = OnFailure.STOP

    def entry(self, name: str) -> JobSpec:
        """Return the entry of a name."""
        return next(entry for entry in self.jobs if entry.name == name)


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
                tuple(map(JobSpec.from_body, step["jobs"])),
                OnFailure(step.get("on_failure", OnFailure.STOP)),
            )
            for step in body["steps"]
        )
        return cls(name, version, steps)


class TimeoutPolicy(StrEnum):
    """What happens to a polled job whose time is over; the names are Conductor's."""

    #: The job fails, whatever attempts it has left.
    TIME_OUT_WF = "TIME_OUT_WF"
    #: It is retried, as far as its retry policy allows.
    RETRY = "RETRY"
    #: It continues. A warning is logged.
    ALERT_ONLY = "ALERT_ONLY"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `count` claims in each window of `per_s` seconds; a count of 0 is no limit."""

    count: int = 0
    per_s: float = 1.0


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """The settings that only a job type of target `worker` has.

    A worker that is silent for `response_timeout_s` loses the job; every update starts that time
    over. A job that no worker has claimed after `poll_timeout_s` times out (0: it waits forever).
    At most `concurrency_limit` attempts are held at once (0: any number). Its jobs wait in so many
    `shards` of their queue. `task_def` is what a Conductor client sent along that means nothing
    here.
    """

    response_timeout_s: float = 60.0
    poll_timeout_s: float = 0.0
    timeout_policy: TimeoutPolicy = TimeoutPolicy.RETRY
    concurrency_limit: int = 0
    shards: int = 1
    rate_limit: RateLimit = field(default_factory=RateLimit)
    task_def: JsonObject = field(default_factory=dict, compare=False)

    @classmethod
    def from_body(cls, body: JsonObject) -> WorkerPolicy:
        """Read the `worker` part of a stored body."""
        values = dict(body)
        if "timeout_policy" in values:
            values["timeout_policy"] = TimeoutPolicy(values["timeout_policy"])
        if "rate_limit" in values:
            values["rate_limit"] = RateLimit(**values["rate_limit"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class JobType:
    """A kind of work. `timeout_s` bounds an attempt; one invocation takes up to `batch_size` jobs.

    For a polled type a `timeout_s` of 0 is no bound. A step runs up to `max_concurrency` batches of
    it at once (0: as many as the deployment allows).
    """

    name: str
    version: int
    target: Target
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float = 60.0
    batch_size: int = 10
    max_concurrency: int = 0
    http: JsonObject | None = None
    function: str | None = None
    worker: WorkerPolicy = field(default_factory=WorkerPolicy)

    @property
    def is_polled(self) -> bool:
        """Whether workers claim its jobs, rather than RunJobs."""
        return self.target is Target.WORKER

    @classmethod
    def from_body(cls, name: str, version: int, body: JsonObject) -> JobType:
        """Read a stored body; what it leaves out has its default."""
        retry = dict(body.get("retry") or {})
        if "backoff" in retry:
            retry["backoff"] = Backoff(retry["backoff"])
        if "jitter" in retry:
            retry["jitter"] = Jitter(retry["jitter"])
        for names in ("on", "not_on"):
            retry[names] = tuple(retry.get(names, ()))
        target = Target(body["target"])
        return cls(
            name=name,
            version=version,
            target=target,
            retry=RetryPolicy(**retry),
            timeout_s=body.get("timeout_s", 0.0 if target is Target.WORKER else 60.0),
            batch_size=body.get("batch_size", 10),
            max_concurrency=body.get("max_concurrency") or 0,
            http=body.get("http"),
            function=(body.get("lambda") or {}).get("function"),
            worker=WorkerPolicy.from_body(body.get("worker") or {}),
        )
