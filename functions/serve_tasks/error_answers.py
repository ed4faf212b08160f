"""Errors as answers: in Conductor's shape under /api, as problems (RFC 9457) elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus

from http_messages import Answer, json_answer
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
from shiftwork_core.telemetry import logger

#: Enough to mend a body by.
_MAX_FAULTS = 100


class NotOffered(Refusal):
    """Conductor has this, and Shiftwork does not."""


class MethodNotAllowed(Refusal):
    """The path exists, with other methods."""


class AnswerTooLarge(Refusal):
    """The answer would not fit through Lambda."""


#: The status of every refusal, and the word for it. Conductor says 400 where others say 422.
_REFUSALS: dict[type[Refusal], tuple[HTTPStatus, str]] = {
    Unauthorized: (HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED"),
    Forbidden: (HTTPStatus.FORBIDDEN, "FORBIDDEN"),
    NotFound: (HTTPStatus.NOT_FOUND, "NOT_FOUND"),
    MethodNotAllowed: (HTTPStatus.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
    Conflict: (HTTPStatus.CONFLICT, "CONFLICT"),
    TooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TOO_LARGE"),
    AnswerTooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "ANSWER_TOO_LARGE"),
    Malformed: (HTTPStatus.BAD_REQUEST, "MALFORMED"),
    Invalid: (HTTPStatus.BAD_REQUEST, "INVALID_INPUT"),
    NotOffered: (HTTPStatus.NOT_IMPLEMENTED, "NOT_IMPLEMENTED"),
}
#: Where the word for a problem is not Conductor's.
_SLUGS = {
    "INVALID_INPUT": "invalid",
    "INTERNAL_ERROR": "internal",
    "EXPIRED_TOKEN": "unauthorized",
    "INVALID_TOKEN": "unauthorized",
}


@dataclass(frozen=True, slots=True)
class _Failure:
    status: HTTPStatus
    code: str
    detail: str
    next_step: str = ""
    faults: tuple[FaultAt, ...] = ()
    is_retryable: bool = False


def answer_to(error: Exception, aws_request_id: str, *, is_conductors: bool) -> Answer:
    """Return what to tell the caller. What nobody foresaw is logged, and nothing of it is told."""
    failure = _failure(error, aws_request_id)
    if not is_conductors:
        return replace(_problem(failure), content_type="application/problem+json")
    if isinstance(error, Unauthorized):  # As Conductor's SDKs look for it.
        return json_answer({"error": error.code, "message": error.detail}, failure.status.value)
    message = f"{failure.detail}; {failure.next_step}" if failure.next_step else failure.detail
    faults = [{"path": f.path, "message": f.message, "invalidValue": None} for f in failure.faults]
    content = {
        "status": failure.status.value,
        "code": failure.code,
        "message": message,
        "instance": aws_request_id,
        "retryable": failure.is_retryable,
        "validationErrors": faults or None,
        "metadata": None,
    }
    return json_answer(content, failure.status.value)


def _problem(failure: _Failure) -> Answer:
    """Return it as the API function does under /v1, where faults are a 422."""
    slug = _SLUGS.get(failure.code, failure.code.lower().replace("_", "-"))
    status = HTTPStatus.UNPROCESSABLE_ENTITY if slug == "invalid" else failure.status
    content = {
        "type": f"https://shiftwork.dev/problems/{slug}",
        "title": status.phrase,
        "status": status.value,
        "detail": failure.detail,
        "errors": [{"path": f.path, "message": f.message} for f in failure.faults],
        "next": failure.next_step,
    }
    return json_answer(content, status.value)


def _failure(error: Exception, aws_request_id: str) -> _Failure:
    match error:
        case Refusal():
            status, code = next(_REFUSALS[k] for k in type(error).mro() if k in _REFUSALS)
            if isinstance(error, Unauthorized):
                code = error.code
            faults = error.faults[:_MAX_FAULTS] if isinstance(error, Invalid) else []
            return _Failure(status, code, error.detail, error.next_step, tuple(faults))
        case Transient():
            logger.warning("a service failed", exc_info=error)
            return _Failure(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "UNAVAILABLE",
                "a service that Shiftwork builds on is throttled or cannot be reached",
                "send the same call again",
                is_retryable=True,
            )
        case _:
            logger.error("unexpected error", exc_info=error)
            return _Failure(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "INTERNAL_ERROR",
                f"an unexpected error; the function logged it under {aws_request_id}",
            )
