"""What clients may send as a job type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

import checks
from inputs import Description, Input, Name, fault, fault_at
from shiftwork_core import bootstrap
from shiftwork_core.domain.http_calls import (
    characters_fault,
    header_name_fault,
    header_value_fault,
)
from shiftwork_core.domain.requests.definitions import Target
from shiftwork_core.domain.requests.queue_names import MAX_SHARDS
from v1.definitions.request_types import check_expressions, check_template

#: Lambda ends a function after 900 s; a minute is left to record its jobs' outcomes.
MAX_TIMEOUT_S = 840
#: A worker's jobs may last longer.
MAX_WORKER_TIMEOUT_S = 7 * 24 * 3600
#: The longest back-off. Those over 15 minutes wait in the table.
MAX_BACKOFF_S = 7 * 24 * 3600
#: A poll reads every slot of a limited type.
MAX_CONCURRENCY = 1000
MAX_RATE = 1_000_000
MAX_RATE_WINDOW_S = 24 * 3600
#: Exceptions that a retry policy names.
MAX_EXCEPTIONS = 50

T = TypeVar("T")

_EXPRESSION = re.compile(r"\{\{|\}\}|\{[^{}]+\}")


def _check_service(service: str) -> str:
    known = bootstrap.world.settings().services
    if service not in known:
        names = ", ".join(sorted(known)) or (
            "none; name them in the project's shiftwork.toml, under [services]"
        )
        raise fault(f"no service is named {service[:100]!r} (there are: {names})")
    return service


def header_fault(name: str, value: str) -> str | None:
    """Return what is wrong with a header for a call to a service, None if nothing is."""
    return header_name_fault(name) or header_value_fault(value)


ServiceName = Annotated[
    str,
    AfterValidator(_check_service),
    Field(description="one of those configured at deployment"),
]
#: The name of an exception's class, alone or with its module.
ExceptionName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,199}$")]
Headers = Annotated[dict[str, Annotated[str, Field(max_length=2000)]], Field(max_length=50)]


class RetryInput(Input):
    """When an attempt that failed is followed by another."""

    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    backoff: Literal["fixed", "linear", "exponential"] = "exponential"
    delay_s: Annotated[float, Field(ge=0, le=MAX_BACKOFF_S)] = 2
    max_delay_s: Annotated[float, Field(ge=0, le=MAX_BACKOFF_S)] = 60
    jitter: Literal["full", "none"] = "full"
    scale: Annotated[
        float, Field(ge=1, le=1000, description="linear only: delay_s x scale x retries")
    ] = 1


class JobRetryInput(RetryInput):
    """When an attempt that failed is followed by another, and after which errors."""

    on: Annotated[
        list[ExceptionName],
        Field(max_length=MAX_EXCEPTIONS, description="only these exceptions are retried"),
    ] = Field(default_factory=list)
    not_on: Annotated[
        list[ExceptionName],
        Field(max_length=MAX_EXCEPTIONS, description="these fail at once, besides the program's"),
    ] = Field(default_factory=list)


class RateLimitInput(Input):
    """How many attempts may start in a window of time."""

    count: Annotated[int, Field(ge=0, le=MAX_RATE, description="0: any number")] = 0
    per_s: Annotated[int, Field(ge=1, le=MAX_RATE_WINDOW_S)] = 1


class WorkerPolicyInput(Input):
    """The settings that apply only to jobs that workers poll for."""

    response_timeout_s: Annotated[
        float,
        Field(ge=1, le=MAX_WORKER_TIMEOUT_S, description="the lease, which every update renews"),
    ] = 60
    poll_timeout_s: Annotated[
        float,
        Field(ge=0, le=MAX_WORKER_TIMEOUT_S, description="how long it may be queued; 0: any time"),
    ] = 0
    timeout_policy: Annotated[
        Literal["RETRY", "TIME_OUT_WF", "ALERT_ONLY"],
        Field(description="what follows when timeout_s is over"),
    ] = "RETRY"
    concurrency_limit: Annotated[
        int, Field(ge=0, le=MAX_CONCURRENCY, description="how many run at once; 0: any number")
    ] = 0
    shards: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_SHARDS,
            description="in how many partitions its jobs wait: each takes some 500 jobs a second",
        ),
    ] = 1
    rate_limit: RateLimitInput = Field(default_factory=RateLimitInput)
    task_def: Annotated[
        dict[str, Any],
        Field(description="fields of a Conductor TaskDef that mean nothing here"),
    ] = Field(default_factory=dict)


class HttpInput(Input):
    """A call to a named service. `{...}` is JMESPath over {params, extras, item}."""

    service: ServiceName
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: Annotated[str, Field(max_length=2000, description="the values of {...} are URL-escaped")]
    headers: Headers = Field(default_factory=dict)
    body: Annotated[Any, Field(description="sent as JSON")] = None

    @field_validator("path")
    @classmethod
    def _is_path(cls, path: str) -> str:
        rest = _EXPRESSION.sub("", path)
        if not path.startswith("/"):
            raise fault("must start with /")
        if "{" in rest or "}" in rest:
            raise fault("a brace has no counterpart; write {{ or }} for a brace itself")
        if message := characters_fault(rest):
            raise fault(message)
        return check_template(path)

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        errors = []
        for name, value in headers.items():
            # What its expressions yield is checked when it is sent.
            message = header_fault(name, _EXPRESSION.sub("", value)) or checks.template_fault(value)
            if message:
                errors.append(fault_at(message, name))
        if errors:
            raise ValidationError.from_exception_data("headers", errors)
        return headers

    @field_validator("body")
    @classmethod
    def _is_template(cls, body: Any) -> Any:
        return check_template(body)


class LambdaInput(Input):
    """A function to invoke."""

    function: Annotated[str, Field(pattern=r"^[A-Za-z0-9:_$-]{1,256}$", description="name or ARN")]


class _JobTypeInput(Input):
    """A kind of work."""

    kind: Literal["job-type"] | None = None
    name: Name | None = None
    description: Description | None = None
    target: Literal["python", "lambda", "http", "worker"]
    retry: JobRetryInput | None = None
    timeout_s: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_WORKER_TIMEOUT_S,
            description="1 to 840; for target worker up to 7 days, 0: none",
        ),
    ] = 60
    batch_size: Annotated[int, Field(ge=1, le=100)] = 10
    max_concurrency: Annotated[
        int | None,
        Field(ge=1, le=1000, description="batches that a step runs at once; not for target worker"),
    ] = None
    http: Annotated[
        HttpInput | None, BeforeValidator(check_expressions), Field(validate_default=True)
    ] = None
    worker: WorkerPolicyInput | None = None

    @field_validator("timeout_s")
    @classmethod
    def _fits_target(cls, timeout_s: float, info: ValidationInfo) -> float:
        if info.data.get("target") != Target.WORKER and not 1 <= timeout_s <= MAX_TIMEOUT_S:
            raise fault(f"must be 1 to {MAX_TIMEOUT_S}, unless the target is worker")
        return timeout_s

    @field_validator("max_concurrency")
    @classmethod
    def _is_batched(cls, bound: int | None, info: ValidationInfo) -> int | None:
        if bound is not None and info.data.get("target") == Target.WORKER:
            raise fault("workers take no batches: bound the type by worker.concurrency_limit")
        return bound

    @field_validator("http", "lambda", check_fields=False)
    @classmethod
    def _belongs_to_target(cls, block: T, info: ValidationInfo) -> T:
        name, target = info.field_name, info.data.get("target")
        if block is None and target == name:
            raise fault(f"is required when the target is {name}")
        return cls._check_target(block, info)

    @field_validator("worker")
    @classmethod
    def _check_target(cls, block: T, info: ValidationInfo) -> T:
        name, target = info.field_name, info.data.get("target")
        if block is not None and target not in (None, name):
            raise fault(f"may only be given when the target is {name}; it is {target}")
        return block


if TYPE_CHECKING:
    JobTypeInput = _JobTypeInput
else:
    # A class statement cannot name a field `lambda`, and a fault is named by its field.
    JobTypeInput = create_model(
        "JobTypeInput",
        __base__=_JobTypeInput,
        __doc__=_JobTypeInput.__doc__,
        **{"lambda": (LambdaInput | None, Field(default=None, validate_default=True))},
    )
