"""Render errors: in Conductor's shape under /api, as problems (RFC 9457) under /v1."""

from __future__ import annotations

from dataclasses import replace

from http_messages import Answer, json_answer
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.errors import Unauthorized
from shiftwork_core.refusals import ErrorAnswer, answer_to
from shiftwork_core.telemetry import log_error

CONTENT_TYPE = "application/problem+json"
#: What to do next about errors that do not say so themselves, by slug.
_NEXT = {"unavailable": "send the same call again"}
_PROBLEM_NEXT = _NEXT | {
    "invalid": "correct what `errors` names; docs/reference/conductor-api.md shows the body"
}


def error_answer(error: Exception, aws_request_id: str, *, is_conductors: bool) -> Answer:
    """Return the answer to a call that ended with this error."""
    log_error(error)
    if not is_conductors:
        told = answer_to(error, aws_request_id, _PROBLEM_NEXT)
        answer = json_answer(told.problem, told.kind.status.value)
        return replace(answer, content_type=CONTENT_TYPE, headers=told.headers)
    told = answer_to(error, aws_request_id, _NEXT)
    status = (told.kind.conductor_status or told.kind.status).value
    if isinstance(error, Unauthorized):  # As Conductor's SDKs look for it.
        content: JsonObject = {"error": error.code, "message": error.detail}
    else:
        content = _conductors_error(told, status, aws_request_id)
    return replace(json_answer(content, status), headers=told.headers)


def _conductors_error(told: ErrorAnswer, status: int, aws_request_id: str) -> JsonObject:
    message = f"{told.detail}; {told.next_step}" if told.next_step else told.detail
    faults = [{"path": f.path, "message": f.message, "invalidValue": None} for f in told.faults]
    return {
        "status": status,
        "code": told.kind.conductor_code,
        "message": message,
        "instance": aws_request_id,
        "retryable": told.is_retryable,
        "validationErrors": faults or None,
        "metadata": None,
    }
