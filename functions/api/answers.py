"""The base class of the API's answers, and the answers that all subjects share.

The `views` of each subject have its shapes, as openapi.json shows them, and turn records into JSON.
The tests compare every answer with its shape.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Literal

from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel, ConfigDict, Field

from shiftwork_core.domain.payloads import Json

Timestamp = str


def answer(value: Json, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Response[str]:
    """Return a JSON answer as text, so that Powertools does not walk through its value again."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    all_headers: dict[str, str | list[str]] = {**headers}
    return Response(status.value, "application/json", text, all_headers)


class Output(BaseModel):
    """The base of everything that goes out."""

    model_config = ConfigDict(extra="forbid")


class Fault(Output):
    """One fault: where in the input, and what is wrong there."""

    path: str = Field(examples=["steps[0].jobs[1].type"])
    message: str


class ProblemAnswer(Output):
    """RFC 9457, with every fault named and what to do next."""

    type: str = Field(examples=["https://shiftwork.dev/problems/invalid"])
    title: str
    status: int
    detail: str
    errors: list[Fault]
    next: str


class Heartbeat(Output):
    """The answer of an API that is up."""

    status: Literal["ok"]


class OpenApi(Output):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    info: dict[str, Json]
    paths: dict[str, Json]
