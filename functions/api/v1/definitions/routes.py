"""Routes of request types and job types: create, read, list and delete them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from answers import answer
from inputs import NAME_PATTERN
from operations import Limit, NameInPath, operation
from shiftwork_core import bootstrap
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.telemetry import count
from v1.definitions.inputs import JobTypeInput
from v1.definitions.request_types import RequestTypeInput
from v1.definitions.views import (
    DefinitionAnswer,
    DefinitionPage,
    RequestPlanAnswer,
    definition_view,
    plan_view,
)

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


def _put(kind: Kind, name: str, given_name: str | None) -> Response[str]:
    """Store the body as it was written: validation added and converted nothing."""
    if given_name not in (None, name):
        message = f"must be {name!r}, as in the path, or left out"
        raise Invalid(f"the body's name {message}", [FaultAt("name", message)])
    body = {k: v for k, v in router.current_event.json_body.items() if k not in ("kind", "name")}
    definition, is_first = bootstrap.requests.definitions().put(kind, name, body)
    count(Metric.DEFINITIONS_PUT)
    return answer(definition_view(definition), HTTPStatus.CREATED if is_first else HTTPStatus.OK)


def _get(kind: Kind, name: str, version: int | None) -> Response[str]:
    return answer(definition_view(bootstrap.requests.definitions().get(kind, name, version)))


def _delete(kind: Kind, name: str) -> Response[str]:
    bootstrap.requests.definitions().delete(kind, name)
    count(Metric.DEFINITIONS_DELETED)
    return Response(HTTPStatus.NO_CONTENT.value, body="")


def _list(kind: Kind, limit: int, next_token: str | None) -> Response[str]:
    page = bootstrap.requests.definitions().find(kind, limit, next_token)
    items = [definition_view(definition) for definition in page.items]
    return answer({"items": items, "next_token": page.next_token})


_ONE = {200: ("The definition", DefinitionAnswer)}
_PAGE = {200: ("A page of them, by name", DefinitionPage)}
_PUT = {
    200: ("Its next version, or the same if nothing has changed", DefinitionAnswer),
    201: ("The first version", DefinitionAnswer),
}
_GONE = {204: ("Hidden; requests submitted before keep their version", None)}
_BODY = (400, 404, 409, 413, 415)

#: A page's token is the last name of the page before.
LastName = Annotated[str | None, Query(pattern=NAME_PATTERN)]
Version = Annotated[int | None, Query(ge=1, lt=10**9, description="default: the latest")]

#: Of a plan: a manifest in blocks of 1,000 has room for so many items.
Items = Annotated[int, Query(ge=0, le=10_000_000, description="of each for_each entry")]
DurationS = Annotated[float, Query(ge=0, le=604_800, description="how long a job lasts")]
ItemBytes = Annotated[int, Query(ge=0, le=1_048_576, description="the size of an item, as JSON")]
ResultBytes = Annotated[int, Query(ge=2, le=6_291_456, description="the size of a job's result")]


@router.get("/v1/request-types", **operation("listRequestTypes", "List the request types", _PAGE))
def list_request_types(limit: Limit = 50, next_token: LastName = None) -> Response[str]:
    """List the request types."""
    return _list(Kind.REQUEST_TYPE, limit, next_token)


@router.get(
    "/v1/request-types/<name>", **operation("getRequestType", "Get a request type", _ONE, (404,))
)
def get_request_type(name: NameInPath, version: Version = None) -> Response[str]:
    """Get a request type."""
    return _get(Kind.REQUEST_TYPE, name, version)


@router.get(
    "/v1/request-types/<name>/plan",
    **operation(
        "planRequest",
        "Predict what a request of a type takes, and which quotas it meets",
        {200: ("The prediction; nothing is submitted", RequestPlanAnswer)},
        (404,),
    ),
)
def plan_request(  # one for each parameter of the query
    name: NameInPath,
    items: Items = 1,
    duration_s: DurationS = 0.0,
    item_bytes: ItemBytes = 100,
    result_bytes: ResultBytes = 2,
    version: Version = None,
) -> Response[str]:
    """Predict what a request of a type takes, and which quotas it meets."""
    # Few calls plan, and each module makes each cold start longer.
    from shiftwork_core.services.requests.estimates.plans import plan_request
    from shiftwork_core.services.requests.estimates.shapes import Workload

    load = Workload(items, duration_s, item_bytes, result_bytes)
    found = plan_request(bootstrap.requests.definitions(), name, version, load)
    return answer(plan_view(found))


@router.put(
    "/v1/request-types/<name>",
    **operation(
        "putRequestType", "Make the body the latest version of a request type", _PUT, _BODY
    ),
)
def put_request_type(name: NameInPath, body: Annotated[RequestTypeInput, Body()]) -> Response[str]:
    """Make the body the latest version of a request type."""
    return _put(Kind.REQUEST_TYPE, name, body.name)


@router.delete(
    "/v1/request-types/<name>",
    **operation("deleteRequestType", "Hide a request type", _GONE, (404, 409)),
)
def delete_request_type(name: NameInPath) -> Response[str]:
    """Hide a request type."""
    return _delete(Kind.REQUEST_TYPE, name)


@router.get("/v1/job-types", **operation("listJobTypes", "List the job types", _PAGE))
def list_job_types(limit: Limit = 50, next_token: LastName = None) -> Response[str]:
    """List the job types."""
    return _list(Kind.JOB_TYPE, limit, next_token)


@router.get("/v1/job-types/<name>", **operation("getJobType", "Get a job type", _ONE, (404,)))
def get_job_type(name: NameInPath, version: Version = None) -> Response[str]:
    """Get a job type."""
    return _get(Kind.JOB_TYPE, name, version)


@router.put(
    "/v1/job-types/<name>",
    **operation("putJobType", "Make the body the latest version of a job type", _PUT, _BODY),
)
def put_job_type(name: NameInPath, body: Annotated[JobTypeInput, Body()]) -> Response[str]:
    """Make the body the latest version of a job type."""
    return _put(Kind.JOB_TYPE, name, body.name)


@router.delete(
    "/v1/job-types/<name>", **operation("deleteJobType", "Hide a job type", _GONE, (404, 409))
)
def delete_job_type(name: NameInPath) -> Response[str]:
    """Hide a job type."""
    return _delete(Kind.JOB_TYPE, name)
