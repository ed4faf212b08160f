"""Describe routes for openapi.json: their parameters, answers and problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from pydantic import BaseModel

from answers import ProblemAnswer
from inputs import NAME_PATTERN

#: No id is longer; DynamoDB would refuse it as a key.
_MAX_ID_LENGTH = 200

NameInPath = Annotated[str, Path(pattern=NAME_PATTERN)]
RequestId = Annotated[str, Path(max_length=_MAX_ID_LENGTH)]
AttemptId = Annotated[str, Path(max_length=_MAX_ID_LENGTH)]
Limit = Annotated[int, Query(ge=1, le=100, description="how many at most")]
NextToken = Annotated[
    str | None,
    Query(max_length=300, description="from the page before; keep the other parameters"),
]
#: CloudWatch Logs names no bound for its tokens.
LogToken = Annotated[str | None, Query(max_length=5000, description="from the page before")]
LogCursor = Annotated[str | None, Query(max_length=5100, description="the `cursor` of an answer")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[ -~]*$",
        description="the same key and body again answer with the first request (200)",
    ),
]

_PROBLEM = {"content": {"application/problem+json": {"model": ProblemAnswer}}}
#: What a status says, whatever the route.
MEANINGS = {
    400: "The body is not JSON",
    401: "The signed token has expired, or is not one of this deployment's",
    403: "The token does not allow this",
    404: "There is no such thing",
    409: "Its state does not allow this",
    413: "The input is too large",
    415: "The body is not declared as JSON",
    422: "The input has faults, each of which is named; or the answer would be too large",
    503: "A service is throttled or out of reach: try again after Retry-After seconds",
}


def operation(
    name: str,
    summary: str,
    answers: Mapping[int, tuple[str, type[BaseModel] | None]],
    problems: tuple[int, ...] = (),
    texts: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the options of a route: its operation's name, a summary, and all that it may answer.

    Every route may answer 401, 422 and 503 as well. An answer without a model is none, or a text
    of one of the media types `texts`.
    """
    as_text: dict[str, Any] = {media_type: {"schema": {"type": "string"}} for media_type in texts}
    responses: dict[int, Any] = {
        status: {
            "description": text,
            "content": {"application/json": {"model": model}} if model else as_text,
        }
        for status, (text, model) in answers.items()
    }
    responses |= {
        status: {"description": MEANINGS[status], **_PROBLEM}
        for status in (*problems, 401, 422, 503)
    }
    return {"operation_id": name, "summary": summary, "responses": responses}
