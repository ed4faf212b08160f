"""What clients may send as a request type or job type: the fields of the files in definitions/."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    field_validator,
)
from pydantic_core import InitErrorDetails

import checks
from inputs import Description, Input, Name, fault, fault_at, faults_of
from shiftwork_core import bootstrap
from shiftwork_core.domain.http_calls import (
    characters_fault,
    header_name_fault,
    header_value_fault,
)
from shiftwork_core.domain.requests.blocks import MAX_BLOCK
from shiftwork_core.domain.requests.definitions import Target
from shiftwork_core.domain.requests.queue_names import MAX_SHARDS

#: The most steps of a request type, and entries of a step.
MAX_STEPS = 100
MAX_JOBS = 10_000
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

#: Faults of this kind that are named at most.
_MAX_FAULTS = 100
#: So many items of a list are validated at once.
_PART = 10

_EXPRESSION = re.compile(r"\{\{|\}\}|\{[^{}]+\}")

T = TypeVar("T")


def _check_expression(expression: str) -> str:
    message = checks.expression_fault(expression)
    if message:
        raise fault(message)
    return expression


def _check_template(template: T) -> T:
    message = checks.template_fault(template)
    if message:
        raise fault(message)
    return template


def _check_expressions(part: Any) -> Any:
    message = checks.expressions_fault(part)
    if message:
        raise fault(message)
    return part


def _unique(most: int) -> WrapValidator:
    """Return what checks a list of at most so many items, of which no two have the same name."""

    def check(items: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        """Raise the faults within the items together with one for each name that two share."""
        names = [i.get("name") if isinstance(i, dict) else None for i in _listed(items)]
        counts = Counter(name for name in names if isinstance(name, str))
        shared = (
            fault_at(f"another has the name {name[:128]!r} too", index, "name")
            for index, name in enumerate(names)
            if isinstance(name, str) and counts[name] > 1
        )
        has_parts = len(names) <= most
        checked, faults = (_check_in_parts if has_parts else _check_part)(items, validate)
        if errors := [*faults, *islice(shared, _MAX_FAULTS)]:
            raise ValidationError.from_exception_data("names", errors)
        return checked

    return WrapValidator(check)


def _check_in_parts(
    items: Any, validate: ValidatorFunctionWrapHandler
) -> tuple[Any, list[InitErrorDetails]]:
    """Return the items as they are validated, and their faults.

    Nothing is validated any more once there are as many faults as are named: a body has room for
    hundreds of thousands, and each takes much longer to tell than to send.
    """
    if not _listed(items):
        return _check_part(items, validate)
    checked: list[Any] = []
    faults: list[InitErrorDetails] = []
    for start in range(0, len(items), _PART):
        found, more = _check_part(items[start : start + _PART], validate, start)
        checked += found
        faults += more
        if len(faults) >= _MAX_FAULTS:
            break
    return checked, faults[:_MAX_FAULTS]


def _check_part(
    items: Any, validate: ValidatorFunctionWrapHandler, start: int = 0
) -> tuple[Any, list[InitErrorDetails]]:
    """Return the items of a list from `start` on, or their faults with their places in the list."""
    try:
        return validate(items), []
    except ValidationError as error:
        return [], faults_of(error, start, _MAX_FAULTS)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _check_service(service: str) -> str:
    known = bootstrap.world.settings().services
    if service not in known:
        names = ", ".join(sorted(known)) or (
            "none; name them in the parameter Services, locally in SHIFTWORK_SERVICES"
        )
        raise fault(f"no service is named {service[:100]!r} (there are: {names})")
    return service


def header_fault(name: str, value: str) -> str | None:
    """Return what is wrong with a header for a call to a service, None if nothing is."""
    return header_name_fault(name) or header_value_fault(value)


Expression = Annotated[str, Field(min_length=1), AfterValidator(_check_expression)]
ServiceName = Annotated[
    str,
    AfterValidator(_check_service),
    Field(description="one of those configured at deployment"),
]
Headers = Annotated[dict[str, Annotated[str, Field(max_length=2000)]], Field(max_length=50)]
Template = Annotated[dict[str, Any], AfterValidator(_check_template)]


class JobSpecInput(Input):
    """One entry of a step: a job, or with `for_each` one job for every item."""

    name: Name
    type: Name
    for_each: Annotated[Expression | None, Field(description="JMESPath over {params, extras}")] = (
        None
    )
    params: Annotated[
        Template | None,
        Field(description="in place of the request's; {...} is JMESPath over params, extras, item"),
    ] = None
    block: Annotated[
        int | None,
        Field(ge=1, le=MAX_BLOCK, description="so many jobs share a row; for python and lambda"),
    ] = None

    @field_validator("block")
    @classmethod
    def _has_items(cls, block: int | None, info: ValidationInfo) -> int | None:
        if block is not None and info.data.get("for_each") is None:
            raise fault("goes with for_each, which yields the jobs of the blocks")
        return block


class StepInput(Input):
    """Jobs that run side by side. The next step waits for all of them."""

    name: Name
    jobs: Annotated[
        list[JobSpecInput],
        Field(min_length=1, max_length=MAX_JOBS),
        _unique(MAX_JOBS),
    ]
    on_failure: Annotated[
        Literal["stop", "finish"],
        Field(
            description="a job that fails ends the request at once, or once the others have ended"
        ),
    ] = "stop"


class RequestTypeInput(Input):
    """A request type."""

    kind: Literal["request-type"] | None = None
    name: Name | None = None
    description: Description | None = None
    params: Annotated[dict[str, Any] | None, Field(description="JSON Schema 2020-12")] = None
    steps: Annotated[
        list[StepInput],
        Field(min_length=1, max_length=MAX_STEPS),
        _unique(MAX_STEPS),
        BeforeValidator(_check_expressions),
    ]

    @field_validator("params")
    @classmethod
    def _check_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        faults = checks.schema_faults(schema or {})
        if faults:
            errors = [fault_at(f.message, *f.place) for f in faults]
            raise ValidationError.from_exception_data("params", errors)
        return schema


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
        return _check_template(path)

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
        return _check_template(body)


class LambdaInput(Input):
    """A function to invoke."""

    function: Annotated[str, Field(pattern=r"^[A-Za-z0-9:_$-]{1,256}$", description="name or ARN")]


class _JobTypeInput(Input):
    """A kind of work."""

    kind: Literal["job-type"] | None = None
    name: Name | None = None
    description: Description | None = None
    target: Literal["python", "lambda", "http", "worker"]
    retry: RetryInput | None = None
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
        HttpInput | None, BeforeValidator(_check_expressions), Field(validate_default=True)
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
