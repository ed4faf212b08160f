"""Describe one call of the API: what is sent, whether it may be repeated, how its answer is read.

`shiftwork.api.calls` has a function for every call, and both clients have a method for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

from shiftwork.api.messages import Answer

if TYPE_CHECKING:
    from shiftwork.api.shapes import JsonObject

T = TypeVar("T")

PAGE = 100


class Call(NamedTuple, Generic[T]):
    """A call whose answer is a `T`.

    Attributes
    ----------
    is_repeatable
        Whether the call may arrive twice; if not, it is repeated only while it cannot have arrived.
    is_patient
        Whether the client repeats it at all. Callers that repeat it themselves set this to False.
    extra_s
        How much longer than usual the answer may take, in seconds.
    token
        A token for this call alone; None: the client's.
    """

    method: str
    path: str
    query: Mapping[str, Any] = MappingProxyType({})
    json: Any = None
    text: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    is_repeatable: bool = True
    is_patient: bool = True
    extra_s: float = 0.0
    token: str | None = None
    read: Callable[[Answer], T] = Answer.json


class Pages(NamedTuple, Generic[T]):
    """A list that the client reads page by page."""

    path: str
    query: Mapping[str, Any] = MappingProxyType({})

    def page(self, token: str | None) -> Call[Any]:
        """Return the call for one page."""
        return Call("GET", self.path, {**self.query, "limit": PAGE} | given({"next_token": token}))


def given(values: JsonObject) -> JsonObject:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def quoted(name: str) -> str:
    """Return the name as one segment of a path."""
    return quote(name, safe="")


def time_text(moment: datetime | str | None) -> str | None:
    """Return the time as ISO 8601 UTC text; a text is returned unchanged."""
    return moment.astimezone(UTC).isoformat() if isinstance(moment, datetime) else moment


def nothing(answer: Answer) -> None:
    """Ignore the body: the status says everything."""
