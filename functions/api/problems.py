"""Render errors, pydantic's validation errors among them, as problems (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from shiftwork_core.domain.json_bounds import path_to
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.json_input import summarise
from shiftwork_core.refusals import ErrorAnswer, answer_to
from shiftwork_core.telemetry import log_error

CONTENT_TYPE = "application/problem+json"
#: What to do next about errors that do not say so themselves, by slug.
_NEXT = {
    "invalid": "correct what `errors` names; GET /openapi.json has the schema of every body",
    "too-large": "send less; put large data into a store and send where it lies",
    "unavailable": "send the same call again; give a POST an Idempotency-Key to do so safely",
    "internal": "look it up in the API function's log group",
}


def problem_response(error: Exception, aws_request_id: str) -> Response[str]:
    """Return the problem as the answer of a route."""
    told = _told(error, aws_request_id)
    headers: dict[str, str | list[str]] = {**told.headers}
    return Response(told.kind.status.value, CONTENT_TYPE, json.dumps(told.problem), headers)


def problem_event(error: Exception, aws_request_id: str) -> dict[str, Any]:
    """Return the problem as the answer of the function."""
    told = _told(error, aws_request_id)
    headers = {"Content-Type": CONTENT_TYPE, **told.headers}
    status = told.kind.status.value
    return {"statusCode": status, "headers": headers, "body": json.dumps(told.problem)}


def _told(error: Exception, aws_request_id: str) -> ErrorAnswer:
    if isinstance(error, RequestValidationError):
        faults = [FaultAt(_place_of(e["loc"]), message_of(e)) for e in error.errors()]
        error = Invalid(summarise(faults), faults)
    log_error(error)
    return answer_to(error, aws_request_id, _NEXT)


#: Messages for callers where pydantic's own are for Python programmers.
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
    """Return the message of an error of pydantic's, in words for callers of the API."""
    message: str = _MESSAGES.get(error["type"], error["msg"])
    return message


def _place_of(loc: tuple[Any, ...]) -> str:
    """Return a place in the body, or a parameter's name; Powertools gives headers in lower case."""
    path = path_to(loc[1:])
    return path.title() if loc[0] == "header" else path
