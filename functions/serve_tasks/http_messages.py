"""A call as the routes take it, and their answers."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

from shiftwork_core.caller import Caller
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.errors import FaultAt, Invalid, Malformed, TooLarge
from shiftwork_core.json_input import parse_json, parse_object, summarise
from shiftwork_core.routes import Route

#: What Lambda passes on, both ways.
MAX_BODY_BYTES = 6_000_000
#: Longer ids and names exist nowhere; DynamoDB would refuse them as keys.
MAX_NAME_LENGTH = 200
#: How many tasks one poll may ask for, and how many it is given at the most: each is claimed by a
#: write, and a client does not wait for ever.
MAX_COUNT = 1000
MAX_GIVEN = 100


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client."""

    status: int
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def to_event(self) -> JsonObject:
        """Return it as API Gateway wants it."""
        headers = {"Content-Type": self.content_type} if self.body else {}
        return {"statusCode": self.status, "headers": headers | self.headers, "body": self.body}


def json_answer(value: Json, status: int = 200) -> Answer:
    """Return a JSON answer."""
    return Answer(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def text_answer(text: str) -> Answer:
    """Return a plain text: Conductor answers so with ids."""
    return Answer(200, text, "text/plain; charset=utf-8")


NOTHING = Answer(204)
DONE = Answer(200)


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `parameters` are the parts of the path that the route names, in order."""

    caller: Caller
    parameters: list[str]
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: str

    @classmethod
    def of(cls, event: JsonObject, caller: Caller, route: Route, path: str) -> Call:
        """Read an HTTP API event, payload 2.0.

        Raises
        ------
        Malformed
            If the body is not text in UTF-8.
        TooLarge
            If it has more than `MAX_BODY_BYTES`.
        """
        return cls(
            caller,
            [unquote(part) for part in route.parameters(path)],
            parse_qs(event.get("rawQueryString") or "", keep_blank_values=True),
            {name.lower(): value for name, value in (event.get("headers") or {}).items()},
            _body(event),
        )

    def json(self) -> Json:
        """Return the body, which must be JSON."""
        return parse_json(self.body)

    def object(self) -> JsonObject:
        """Return the body, which must be a JSON object; an empty body is an empty one."""
        return parse_object(self.body) if self.body.strip() else {}

    def text(self, name: str) -> str | None:
        """Return a parameter of the query; None if it is missing or empty."""
        return check(name, self.query.get(name, [""])[-1] or None, short_text)

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number from the query."""

        def read(text: str) -> int:
            try:
                value = int(text)
            except ValueError:
                raise ValueError("must be a whole number") from None
            if not low <= value <= high:
                raise ValueError(f"must be {low:,} to {high:,}")
            return value

        given = self.query.get(name, [""])[-1].strip()
        return check(name, given, read) if given else default

    def flag(self, name: str, default: bool) -> bool:
        """Return a yes or no from the query."""
        given = self.query.get(name, [""])[-1].strip().lower()
        if given not in ("", "true", "false"):
            raise refusal(name, "must be true or false")
        return default if not given else given == "true"


def _body(event: JsonObject) -> str:
    raw = event.get("body") or ""
    try:
        content = base64.b64decode(raw, validate=True) if event.get("isBase64Encoded") else None
        text = raw if content is None else content.decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Malformed("the body is not text in UTF-8") from error
    if len(text) > MAX_BODY_BYTES:
        raise TooLarge(f"the body has {len(text):,} characters; {MAX_BODY_BYTES:,} are the most")
    return str(text)


def check(path: str, value: Any, read: Callable[[Any], T]) -> T:
    """Return what `read` makes of a value; what it finds wrong is a fault at this place."""
    try:
        return read(value)
    except ValueError as error:
        raise refusal(path, str(error)) from error


def refusal(path: str, message: str) -> Invalid:
    """Return the refusal of an input for one fault."""
    fault = FaultAt(path, message)
    return Invalid(summarise([fault]), [fault])


def short_text(value: Any) -> str | None:
    """Return a short text that can be a key or part of one; None for none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_NAME_LENGTH or not value.isprintable():
        raise ValueError(f"must be printable text of at most {MAX_NAME_LENGTH} characters")
    return value


def name(value: Any) -> str:
    """Return a text as `short_text` does, which must be there."""
    text = short_text(value)
    if text is None:
        raise ValueError("is required")
    return text


def long_text(value: Any) -> str:
    """Return a text of any length, empty for none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


def map_of_json(value: Any) -> JsonObject:
    """Return a JSON object, empty for none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return value


def list_of_json(value: Any) -> list[Json]:
    """Return a JSON array, empty for none."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError("must be an array")
    return value


def boolean(value: Any) -> bool:
    """Return true or false, false for none."""
    if value is not None and not isinstance(value, bool):
        raise ValueError("must be true or false")
    return bool(value)


def number_from(low: float, high: float) -> Callable[[Any], float]:
    """Return what reads a number within bounds, `low` for none."""

    def read(value: Any) -> float:
        if value is None:
            return low
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"must be a number from {low:,} to {high:,}")
        return float(value)

    return read
