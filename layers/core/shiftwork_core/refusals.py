"""The one table of what a client gets for each error: status, slug, code, title, headers.

The functions only render it: as RFC 9457 problems, or as errors of Conductor's under /api. It
imports neither pydantic nor Powertools, so that a function which has no models can render it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.errors import (
    AnswerTooLarge,
    Conflict,
    FaultAt,
    Forbidden,
    Invalid,
    Malformed,
    MethodNotAllowed,
    NotFound,
    NotOffered,
    Refusal,
    TooLarge,
    Transient,
    Unauthorized,
    UnsupportedMediaType,
)

TYPES = "https://shiftwork.dev/problems/"
#: Enough to correct a body; listing every fault of a megabyte of them would help nobody.
MAX_FAULTS = 100
#: How long to wait before trying again what failed for a reason that passes.
RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """What all errors of one type have in common for a client.

    Attributes
    ----------
    status
        The HTTP status.
    slug
        The last part of the problem's `type`.
    title
        What has happened, the same for every error of the kind.
    conductor_code
        The `code` of Conductor's errors.
    conductor_status
        The status under /api where it is another one.
    """

    status: HTTPStatus
    slug: str
    title: str
    conductor_code: str
    conductor_status: HTTPStatus | None = None


UNAVAILABLE = ErrorKind(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "unavailable",
    "A service cannot answer at present",
    "UNAVAILABLE",
)
INTERNAL = ErrorKind(
    HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Shiftwork failed", "INTERNAL_ERROR"
)
#: The kind of each error; a subclass is found before its base.
KINDS: dict[type[Exception], ErrorKind] = {
    Malformed: ErrorKind(HTTPStatus.BAD_REQUEST, "malformed", "The body is not JSON", "MALFORMED"),
    Unauthorized: ErrorKind(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        "The token is not good any more",
        "UNAUTHORIZED",
    ),
    Forbidden: ErrorKind(
        HTTPStatus.FORBIDDEN, "forbidden", "The token is not good for this", "FORBIDDEN"
    ),
    NotFound: ErrorKind(HTTPStatus.NOT_FOUND, "not-found", "There is no such thing", "NOT_FOUND"),
    MethodNotAllowed: ErrorKind(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The path has no such method",
        "METHOD_NOT_ALLOWED",
    ),
    Conflict: ErrorKind(
        HTTPStatus.CONFLICT,
        "conflict",
        "It stands in a state that does not admit this",
        "CONFLICT",
    ),
    TooLarge: ErrorKind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", "The input is too large", "TOO_LARGE"
    ),
    # Not 413, which says that what the client sent is too large, and that less of it would do.
    AnswerTooLarge: ErrorKind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "answer-too-large",
        "The answer is too large",
        "ANSWER_TOO_LARGE",
        conductor_status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ),
    UnsupportedMediaType: ErrorKind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "The body must be JSON",
        "UNSUPPORTED_MEDIA_TYPE",
    ),
    Invalid: ErrorKind(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid",
        "The input has faults",
        "INVALID_INPUT",
        conductor_status=HTTPStatus.BAD_REQUEST,
    ),
    NotOffered: ErrorKind(
        HTTPStatus.NOT_IMPLEMENTED,
        "not-implemented",
        "Shiftwork does not offer this",
        "NOT_IMPLEMENTED",
    ),
    Transient: UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What a client gets for an error, whatever the shape of the body."""

    kind: ErrorKind
    detail: str
    next_step: str
    faults: list[FaultAt] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.kind is UNAVAILABLE

    @property
    def problem(self) -> JsonObject:
        """The body as RFC 9457 has it, with every fault named and what to do next."""
        return {
            "type": TYPES + self.kind.slug,
            "title": self.kind.title,
            "status": self.kind.status.value,
            "detail": self.detail,
            "errors": [{"path": fault.path, "message": fault.message} for fault in self.faults],
            "next": self.next_step,
        }


def answer_to(error: Exception, call_id: str, next_steps: Mapping[str, str]) -> ErrorAnswer:
    """Return what to tell the client; of an unforeseen error, only where it was logged.

    `next_steps` are a function's own words, by slug, for errors that do not say what to do next.
    """
    kind = next((KINDS[base] for base in type(error).mro() if base in KINDS), INTERNAL)
    next_step = next_steps.get(kind.slug, "")
    match error:
        case Refusal():
            faults = error.faults[:MAX_FAULTS] if isinstance(error, Invalid) else []
            next_step = error.next_step or next_step
            return ErrorAnswer(kind, error.detail, next_step, faults, _headers_of(error))
        case Transient():
            detail = "a service that Shiftwork builds on is throttled or cannot be reached"
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            return ErrorAnswer(kind, detail, next_step, headers=headers)
        case _:
            detail = f"an unexpected error; the function logged it under {call_id}"
            return ErrorAnswer(kind, detail, next_step)


def _headers_of(refusal: Refusal) -> dict[str, str]:
    """Return the headers that HTTP requires with the status (RFC 9110)."""
    match refusal:
        case MethodNotAllowed():
            return {"Allow": ", ".join(refusal.allowed)}
        case Unauthorized():
            return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        case _:
            return {}
