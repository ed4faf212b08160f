"""HTTP calls as the routes read them, and the answers that they give."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from fields import check, fault_at, short_text
from shiftwork_core.caller import Caller
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.errors import FaultAt, Malformed, TooLarge
from shiftwork_core.json_input import parse_json, parse_object, read_json
from shiftwork_core.routes import Route

#: What Lambda passes on, both ways.
MAX_BODY_BYTES = 6_000_000
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client."""

    status: int
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def to_event(self) -> JsonObject:
        """Return the answer as API Gateway expects it.

        An empty answer is typed as text: a gateway may call one without a type JSON, and
        Conductor's JavaScript SDK then reads it as `{}`, which it takes for a broken task.
        """
        headers = {"Content-Type": self.content_type if self.body else TEXT_TYPE}
        return {"statusCode": self.status, "headers": headers | self.headers, "body": self.body}


def json_answer(value: Json, status: int = 200) -> Answer:
    """Return a JSON answer."""
    return Answer(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def text_answer(text: str) -> Answer:
    """Return an answer in plain text, as Conductor answers with ids."""
    return Answer(200, text, TEXT_TYPE)


NOTHING = Answer(204)
DONE = Answer(200)


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `parameters` are the values of the names in the route's path, in order."""

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
        NotFound
            If a parameter of the path can be no name.
        TooLarge
            If the body has more than `MAX_BODY_BYTES`.
        """
        return cls(
            caller,
            route.parameters(path),
            parse_qs(event.get("rawQueryString") or "", keep_blank_values=True),
            {name.lower(): value for name, value in (event.get("headers") or {}).items()},
            _body(event),
        )

    def json(self) -> Json:
        """Parse the body, which must be JSON."""
        return parse_json(self.body)

    def object(self) -> JsonObject:
        """Parse the body, which must be a JSON object; an empty body is an empty object."""
        return parse_object(self.body) if self.body.strip() else {}

    def object_and_faults(self) -> tuple[JsonObject, list[FaultAt]]:
        """Parse the body like `object`, and return what it would refuse by its place."""
        value, faults = read_json(self.body) if self.body.strip() else ({}, [])
        return (value, faults) if isinstance(value, dict) else (self.object(), [])

    def text(self, name: str, read: Callable[[Any], str | None] = short_text) -> str | None:
        """Return a parameter of the query as `read` takes it; None if it is missing or empty."""
        return check(name, self.query.get(name, [""])[-1] or None, read)

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
            raise fault_at(name, "must be true or false")
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
