"""The base class of what clients send, with the types of names and times, and of faults.

Unknown fields and values of the wrong type are refused, never converted. The models are also the
schemas in openapi.json.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

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
#: Of an unknown field, so much is compared with those that there are.
_LONGEST_NAME = 60


class Input(BaseModel):
    """The base of everything that comes in."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="wrap")
    @classmethod
    def _suggest(cls, value: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Name the field that an unknown one is close to."""
        try:
            return validate(value)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if not any(map(_is_unknown, found)):
                raise
            names = {given.alias or name for name, given in cls.model_fields.items()}
            faults = [_suggesting(e, names) for e in found]
            raise ValidationError.from_exception_data(cls.__name__, faults) from None


def _is_unknown(error: ErrorDetails) -> bool:
    """Whether an error of a model is of one of its own fields, that it does not have."""
    return error["type"] == "extra_forbidden" and len(error["loc"]) == 1


def _suggesting(error: ErrorDetails, names: Collection[str]) -> InitErrorDetails:
    """Return an error of a model as a fault; of an unknown field it names one that is close."""
    message = message_of(error)
    if _is_unknown(error):
        close = get_close_matches(str(error["loc"][0])[:_LONGEST_NAME], names, 1)
        message += f"; did you mean {close[0]}?" if close else ""
    return fault_at(message, *error["loc"])


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
