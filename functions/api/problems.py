"""The one place where errors become answers: RFC 9457 problem+json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from shiftwork_core.errors import (
    Conflict,
    FaultAt,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    Refusal,
    TooLarge,
    Transient,
    Unauthorized,
)
from shiftwork_core.json_input import path_to, summarise
from shiftwork_core.telemetry import logger

CONTENT_TYPE = "application/problem+json"
_TYPES = "https://shiftwork.dev/problems/"
#: Enough to mend a body by; an answer with every fault of a megabyte of them would help nobody.
_MAX_FAULTS = 100
#: How long to wait before trying again what failed for a reason that passes.
_RETRY_AFTER_S = 2


class UnsupportedMediaType(Refusal):
    """The body says that it is something else than JSON."""


class MethodNotAllowed(Refusal):
    """The path exists, with other methods."""

    def __init__(self, detail: str, allowed: list[str]) -> None:
        super().__init__(detail, f"use {' or '.join(allowed)}")
        self.allowed = allowed


class AnswerTooLarge(Refusal):
    """The answer would not fit through Lambda."""


#: The status and the slug of every refusal. A subclass is found before its base.
_REFUSALS: dict[type[Refusal], tuple[HTTPStatus, str]] = {
    Malformed: (HTTPStatus.BAD_REQUEST, "malformed"),
    Unauthorized: (HTTPStatus.UNAUTHORIZED, "unauthorized"),
    Forbidden: (HTTPStatus.FORBIDDEN, "forbidden"),
    NotFound: (HTTPStatus.NOT_FOUND, "not-found"),
    MethodNotAllowed: (HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed"),
    Conflict: (HTTPStatus.CONFLICT, "conflict"),
    TooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large"),
    AnswerTooLarge: (HTTPStatus.UNPROCESSABLE_ENTITY, "answer-too-large"),
    UnsupportedMediaType: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
    Invalid: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"),
}
_TITLES = {
    "malformed": "The body is not JSON",
    "unauthorized": "The token is not good any more",
    "forbidden": "The token is not good for this",
    "not-found": "There is no such thing",
    "method-not-allowed": "The path has no such method",
    "conflict": "It stands in a state that does not admit this",
    "too-large": "The input is too large",
    "answer-too-large": "The answer is too large",
    "unsupported-media-type": "The body must be JSON",
    "invalid": "The input has faults",
    "unavailable": "A service cannot answer at present",
    "internal": "Shiftwork failed",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as the caller sees it."""

    status: HTTPStatus
    slug: str
    detail: str
    next: str
    faults: list[FaultAt] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> str:
        """Return the problem as JSON text."""
        content = {
            "type": _TYPES + self.slug,
            "title": _TITLES[self.slug],
            "status": self.status.value,
            "detail": self.detail,
            "errors": [{"path": f.path, "message": f.message} for f in self.faults[:_MAX_FAULTS]],
            "next": self.next,
        }
        return json.dumps(content)

    def to_response(self) -> Response[str]:
        """Return the answer of a route."""
        headers: dict[str, str | list[str]] = {**self.headers}
        return Response(self.status.value, CONTENT_TYPE, self.body, headers)

    def to_event(self) -> dict[str, Any]:
        """Return the answer of the function."""
        headers = {"Content-Type": CONTENT_TYPE, **self.headers}
        return {"statusCode": self.status.value, "headers": headers, "body": self.body}


def problem_of(error: Exception, aws_request_id: str) -> Problem:
    """Return what to tell the caller. What nobody foresaw is logged, and nothing of it is told."""
    match error:
        case RequestValidationError():
            faults = [FaultAt(_where(e["loc"]), message_of(e)) for e in error.errors()]
            return problem_of(Invalid(summarise(faults), faults), aws_request_id)
        case Refusal():
            return _refusal(error)
        case Transient():
            logger.warning("a service failed", exc_info=error)
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "unavailable",
                "a service that Shiftwork builds on is throttled or cannot be reached",
                "send the same call again; give a POST an Idempotency-Key to do so safely",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            )
        case _:
            logger.error("unexpected error", exc_info=error)
            return Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "internal",
                f"an unexpected error; the API function logged it under {aws_request_id}",
                "look it up in the API function's log group",
            )


def _refusal(error: Refusal) -> Problem:
    status, slug = next(_REFUSALS[kind] for kind in type(error).mro() if kind in _REFUSALS)
    return Problem(
        status,
        slug,
        error.detail,
        error.next_step or _NEXT.get(slug, ""),
        error.faults if isinstance(error, Invalid) else [],
        _headers(error),
    )


def _headers(error: Refusal) -> dict[str, str]:
    match error:
        case MethodNotAllowed():
            return {"Allow": ", ".join(error.allowed)}
        case Unauthorized():
            return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        case _:
            return {}


#: Where pydantic's own words are for Python programmers.
_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a text",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "float_type": "must be a number",
}


def message_of(error: Mapping[str, Any]) -> str:
    """Return what an error of pydantic's says."""
    message: str = _MESSAGES.get(error["type"], error["msg"])
    return message


_NEXT = {
    "invalid": "mend what `errors` names; GET /openapi.json has the schema of every body",
    "too-large": "send less; put large data into a store and send where it lies",
}


def _where(loc: tuple[Any, ...]) -> str:
    """Return a place in the body, or a parameter's name, which Powertools lowers for headers."""
    path = path_to(loc[1:])
    return path.title() if loc[0] == "header" else path
