"""What clients may send as a workspace's `driver`: one model for each kind of driver."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)

from inputs import Input, Name, fault, fault_at, faults_of
from shiftwork_core import bootstrap
from shiftwork_core.adapters.schemas.check import check_schema
from shiftwork_core.domain.http_calls import path_fault
from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.errors import NotFound
from v1.definitions.inputs import Headers, ServiceName, header_fault
from v1.definitions.request_types import Expression

#: A driver reads all members each time; larger groups are named by tags, or switched in parts.
MAX_MEMBERS = 500
#: AWS's own bound.
MAX_TAGS = 50

#: The ways to name the members of a group; exactly one must be used.
_SELECTIONS = {
    "ec2": ("instance_ids", "tags"),
    "ecs": ("services", "tags"),
    "rds": ("instances", "clusters", "tags"),
}

Members = Field(min_length=1, max_length=MAX_MEMBERS)
Tags = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=128)],
        Annotated[str, Field(max_length=256)],
    ],
    Field(min_length=1, max_length=MAX_TAGS, description="a member has all of these tags"),
]
InstanceId = Annotated[str, Field(pattern=r"^i-([0-9a-f]{8}|[0-9a-f]{17})$")]
#: The name of a cluster or a service, or its ARN.
EcsName = Annotated[str, Field(pattern=r"^[A-Za-z0-9:/_-]{1,512}$")]
DatabaseId = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,62}$")]

# A list or tags that are left out are empty, which no given one may be: an empty selection would
# switch nothing, or everything.


class Ec2DriverInput(Input):
    """EC2 instances, by id or by tags."""

    type: Literal["ec2"]
    instance_ids: Annotated[list[InstanceId], Members] = Field(default_factory=list)
    tags: Tags = Field(default_factory=dict)


class EcsDriverInput(Input):
    """Services of an ECS cluster, by name or by tags; off is a desired count of 0."""

    type: Literal["ecs"]
    cluster: EcsName
    services: Annotated[list[EcsName], Members] = Field(default_factory=list)
    tags: Tags = Field(default_factory=dict)
    desired_count: Annotated[
        int, Field(ge=1, le=5000, description="for a service without a remembered count")
    ] = 1


class RdsDriverInput(Input):
    """Databases or clusters of them, by id or by tags."""

    type: Literal["rds"]
    instances: Annotated[list[DatabaseId], Members] = Field(default_factory=list)
    clusters: Annotated[list[DatabaseId], Members] = Field(default_factory=list)
    tags: Tags = Field(default_factory=dict)
    kind: Annotated[Literal["instance", "cluster"], Field(description="what the tags select")] = (
        "instance"
    )

    @field_validator("kind")
    @classmethod
    def _belongs_to_tags(cls, kind: str, info: ValidationInfo) -> str:
        if info.data.get("instances") or info.data.get("clusters"):
            raise fault("may only be given along with tags")
        return kind


def _check_request_type(name: str) -> str:
    try:
        bootstrap.requests.definitions().get(Kind.REQUEST_TYPE, name)
    except NotFound:
        raise fault(f"there is no request type {name!r}; put it first") from None
    return name


class SubmissionOfDriverInput(Input):
    """The request that switches the workspace."""

    type: Annotated[Name, AfterValidator(_check_request_type)]
    params: Annotated[dict[str, Any], Field(description="must fit the type's schema")] = Field(
        default_factory=dict, validate_default=True
    )

    @field_validator("params")
    @classmethod
    def _fit_type(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "type" in info.data:
            found = bootstrap.requests.definitions().get(Kind.REQUEST_TYPE, info.data["type"])
            schema = found.body.get("params")
            errors = [
                fault_at(f.message, *filter(None, [f.path.removeprefix(".")]))
                for f in (check_schema(schema, params) if schema else [])
            ]
            if errors:
                raise ValidationError.from_exception_data("params", errors)
        return params


class RequestDriverInput(Input):
    """Anything that requests of these types switch; the outcome of the last one is its state."""

    type: Literal["request"]
    start: SubmissionOfDriverInput
    stop: SubmissionOfDriverInput


def _check_path(path: str) -> str:
    if message := path_fault(path):
        raise fault(message)
    return path


def _check_word(word: Any) -> Any:
    if not isinstance(word, (str, int)) or not 1 <= len(_as_word(word)) <= 200:
        raise fault("must be a text of 1 to 200 characters, true, false or an integer")
    return word


def _as_word(value: Any) -> str:
    """Return the text by which the driver tells this value's state from others."""
    return str(value).lower() if isinstance(value, bool) else str(value)


ServicePath = Annotated[str, Field(max_length=2000), AfterValidator(_check_path)]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
#: Any: a union of types would put their names into the paths of faults.
Word = Annotated[
    Any,
    AfterValidator(_check_word),
    WithJsonSchema({"anyOf": [{"type": kind} for kind in ("string", "boolean", "integer")]}),
]


class HttpStateInput(Input):
    """How to ask the service for the state, and how to read its answer."""

    path: ServicePath
    method: Method = "GET"
    value: Annotated[Expression, Field(description="JMESPath over the answer")] = "state"
    running: Word = "running"
    stopped: Word = "stopped"
    starting: Word = None
    stopping: Word = None

    @model_validator(mode="after")
    def _are_told_apart(self) -> HttpStateInput:
        seen: dict[str, str] = {}
        for state in ("running", "stopped", "starting", "stopping"):
            value = getattr(self, state)
            if value is not None:
                other = seen.setdefault(_as_word(value), state)
                if other != state:
                    raise fault(f"{other} and {state} are both told by {_as_word(value)!r}")
        return self


class HttpCallInput(Input):
    """A call that starts or stops the workspace."""

    path: ServicePath
    method: Method = "POST"
    headers: Headers = Field(default_factory=dict)
    body: Annotated[Any, Field(description="sent as JSON")] = None

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        errors = [
            fault_at(message, name)
            for name, value in headers.items()
            if (message := header_fault(name, value))
        ]
        if errors:
            raise ValidationError.from_exception_data("headers", errors)
        return headers


class HttpDriverInput(Input):
    """Anything that a named service switches."""

    type: Literal["http"]
    service: ServiceName
    state: HttpStateInput
    start: HttpCallInput
    stop: HttpCallInput


_KINDS = ("ec2", "ecs", "rds", "request", "http")


def _read_driver(value: Json, validate: ValidatorFunctionWrapHandler) -> Any:
    """Raise every fault at its place: pydantic adds the kind to the places of a union's faults."""
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(value, dict) and kind not in _KINDS:
        message = f"must be one of {', '.join(_KINDS)}" if "type" in value else "is required"
        raise ValidationError.from_exception_data("driver", [fault_at(message, "type")])
    errors = [] if kind is None else _selection_faults(kind, value)
    try:
        checked = validate(value)
    except ValidationError as error:
        found = faults_of(error)
        if kind is not None:
            found = [{**each, "loc": each["loc"][1:]} for each in found]
        errors = [*found, *errors]
    if errors:
        raise ValidationError.from_exception_data("driver", errors)
    return checked


def _selection_faults(kind: str, value: dict[str, Any]) -> list[Any]:
    ways = _SELECTIONS.get(kind)
    if ways is None:
        return []
    given = [name for name in ways if name in value]
    if len(given) == 1:
        return []
    names = f"{', '.join(ways[:-1])} or {ways[-1]}"
    said = f"has both {' and '.join(given)}" if given else "selects nothing"
    return [fault_at(f"{said}; give exactly one of {names}")]


DriverInput = Annotated[
    Annotated[
        Ec2DriverInput | EcsDriverInput | RdsDriverInput | RequestDriverInput | HttpDriverInput,
        Discriminator("type"),
    ],
    WrapValidator(_read_driver),
]
