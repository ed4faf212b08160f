"""The base class of what clients send, with the types of names and times, and of faults.

Unknown fields and values of the wrong type are refused, never converted. The models are also the
schemas in openapi.json.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from problems import message_of
from shiftwork_core.domain.times import from_iso

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9._-]{0,127}$"

#: One line: no control characters, and nothing that some reader takes for the end of a line.
LINE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"

#: A name of a type, a step or a job: it goes into keys, paths and file names.
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Description = Annotated[str, Field(max_length=2000)]

_MAX_DELAY = timedelta(days=366)
_MAX_TIME_LENGTH = 40


class Input(BaseModel):
    """The base of everything that comes in."""

    model_config = ConfigDict(extra="forbid", strict=True)


def fault(message: str) -> PydanticCustomError:
    """Return a fault for a validator to raise."""
    return PydanticCustomError("fault", "{message}", {"message": message})


def fault_at(message: str, *place: str | int) -> InitErrorDetails:
    """Return a fault at a place within the value, to be raised together with others."""
    return InitErrorDetails(type=fault(message), loc=place, input=None)


def faults_of(
    error: ValidationError, start: int = 0, most: int | None = None
) -> list[InitErrorDetails]:
    """Return the faults of an error, at most so many, to be raised again together with others.

    `start` is added to the first part of each place, which is then a number.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)[:most]
    return [fault_at(message_of(e), *_moved(e["loc"], start)) for e in found]


def _moved(place: tuple[str | int, ...], start: int) -> tuple[str | int, ...]:
    first = place[0] if place else None
    return (first + start, *place[1:]) if isinstance(first, int) else place


def _read_time(value: Any) -> datetime:
    """Read a time in ISO 8601, at most a year ahead."""
    if not isinstance(value, str) or len(value) > _MAX_TIME_LENGTH:
        raise fault("must be a text such as 2026-01-31T09:00:00Z")
    try:
        moment = from_iso(value)
    except ValueError as error:
        raise fault(f"must be ISO 8601 with an offset: {error}") from None
    if moment > datetime.now(UTC) + _MAX_DELAY:
        raise fault("must be at most a year ahead")
    return moment


Time = Annotated[
    datetime,
    BeforeValidator(_read_time),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
