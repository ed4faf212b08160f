"""What clients may send as a request type: its steps, and the entries of each."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

import checks
from inputs import Description, Input, Name, fault, fault_at, faults_of
from shiftwork_core.domain.requests.blocks import MAX_BLOCK

#: The most steps of a request type, and entries of a step.
MAX_STEPS = 100
MAX_JOBS = 10_000
#: More jobs than a step may have.
MAX_TOLERATED = 10_000_000
_SHARE = r"^(100|[0-9]{1,2}(\.[0-9]{1,3})?)%$"

#: Faults of this kind that are named at most.
_MAX_FAULTS = 100
#: So many items of a list are validated at once.
_PART = 10

T = TypeVar("T")


def _check_expression(expression: str) -> str:
    message = checks.expression_fault(expression)
    if message:
        raise fault(message)
    return expression


def check_template(template: T) -> T:
    """Refuse a template of whose expressions one cannot be read."""
    message = checks.template_fault(template)
    if message:
        raise fault(message)
    return template


def check_expressions(part: Any) -> Any:
    """Refuse a part of a definition whose expressions cannot be read, or are too many."""
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


Expression = Annotated[str, Field(min_length=1), AfterValidator(_check_expression)]
Template = Annotated[dict[str, Any], AfterValidator(check_template)]


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
    for_each_in: Annotated[
        Expression | None,
        Field(description="JMESPath that yields where in S3 a manifest is; needs `block`"),
    ] = None
    block: Annotated[
        int | None,
        Field(ge=1, le=MAX_BLOCK, description="so many jobs share a row; for python and lambda"),
    ] = None
    tolerate: Annotated[
        Annotated[int, Field(ge=0, le=MAX_TOLERATED)]
        | Annotated[str, Field(pattern=_SHARE)]
        | None,
        Field(description="how many of its jobs may fail for good, or as `5%` which share of them"),
    ] = None
    collect: Annotated[
        Literal["extras", "manifest", "none"] | None,
        Field(description="where results go: into the extras, a manifest of lines, or nowhere"),
    ] = None

    @model_validator(mode="after")
    def _fits_together(self) -> JobSpecInput:
        if self.for_each is not None and self.for_each_in is not None:
            raise fault("for_each and for_each_in do not go together")
        has_items = self.for_each is not None or self.for_each_in is not None
        if self.block is not None and not has_items:
            raise fault("block goes with for_each or for_each_in, which yield the jobs")
        if self.tolerate is not None and not has_items:
            raise fault("tolerate goes with for_each or for_each_in, of whose jobs some may fail")
        if self.collect == "manifest" and not has_items:
            raise fault("collect: manifest goes with for_each or for_each_in: a line for each job")
        if self.for_each_in is not None and self.block is None:
            raise fault("for_each_in needs block: so many jobs share a row, such as 100")
        return self


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
        BeforeValidator(check_expressions),
    ]

    @field_validator("params")
    @classmethod
    def _check_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        faults = checks.schema_faults(schema or {})
        if faults:
            errors = [fault_at(f.message, *f.place) for f in faults]
            raise ValidationError.from_exception_data("params", errors)
        return schema

    @model_validator(mode="after")
    def _has_possible_paths(self) -> RequestTypeInput:
        if faults := checks.impossible_paths_in(self.params or {}, self.model_dump()["steps"]):
            errors = [fault_at(f.message, *f.place) for f in faults]
            raise ValidationError.from_exception_data("steps", errors)
        return self
