"""Api: serve the HTTP API: `/heartbeat`, `/openapi.json`, `/metrics` and `/v1`."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext

import openapi_document
from answers import Heartbeat, OpenApi, answer
from body import checked_event
from metrics import rebuild as rebuild_routes
from metrics import routes as metric_routes
from metrics import series as series_routes
from operations import operation
from problems import problem_event, problem_response
from shiftwork_core.caller import caller_of
from shiftwork_core.errors import AnswerTooLarge, MethodNotAllowed, NotFound, Refusal
from shiftwork_core.json_input import parse_object
from shiftwork_core.routes import ROUTES, allowed_methods, match, path_of
from shiftwork_core.telemetry import logger, metrics, report_call
from v1.definitions import routes as definition_routes
from v1.requests import routes as request_routes
from v1.workers import routes as worker_routes
from v1.workspaces import routes as workspace_routes

#: Lambda passes on 6 MB of JSON, in which the body is one escaped text.
MAX_ANSWER_BYTES = 6_000_000

app = APIGatewayHttpResolver(enable_validation=True, json_body_deserializer=parse_object)
app.include_router(definition_routes.router)
app.include_router(request_routes.router)
app.include_router(worker_routes.router)
app.include_router(workspace_routes.router)
app.include_router(metric_routes.router)
app.include_router(rebuild_routes.router)
app.include_router(series_routes.router)


@app.get(
    "/heartbeat",
    **operation("heartbeat", "Say that the API answers", {200: ("The API answers", Heartbeat)}),
)
def heartbeat() -> Response[str]:
    """Answer, so that callers see that the API does; nothing else is called."""
    return answer({"status": "ok"})


@app.get(
    "/openapi.json",
    **operation("getOpenApi", "Describe this API", {200: ("The document", OpenApi)}),
)
def get_openapi() -> Response[str]:
    """Describe this API."""
    return answer(openapi_document.build(app))


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def respond(error: Exception) -> Response[str]:
    """Return the problem of an error that a route raises."""
    return problem_response(error, app.lambda_context.aws_request_id)


@logger.inject_lambda_context(
    correlation_id_path=correlation_paths.API_GATEWAY_HTTP, clear_state=True
)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one call. Every error becomes a problem that shows nothing of its inside."""
    method, path = path_of(event)
    route = match(method, path, ROUTES)
    try:
        caller_of(event)  # A caller whose token is not good learns that and nothing else.
        if route is None:
            raise _unknown_route(method, path)
        route.parameters(path)  # Nothing is called otherwise, whatever the method.
        result = app.resolve(checked_event(event, route.method, path), context)
        _check_size(result.get("body"))
    except Exception as error:
        result = problem_event(error, context.aws_request_id)
    if method == "HEAD":
        result["body"] = ""
    report_call(method, route, result["statusCode"])
    return result


def _unknown_route(method: str, path: str) -> Refusal:
    allowed = allowed_methods(path)
    if allowed and method not in allowed:
        return MethodNotAllowed(f"{path[:200]} has no method {method}", allowed)
    return NotFound(f"there is no route {method} {path[:200]}", "GET /openapi.json lists them all")


def _check_size(body: str | None) -> None:
    """Refuse an answer that Lambda would not pass on, while the client can still be told why."""
    # Escaped, a character takes six bytes at most.
    if body and len(body) * 6 > MAX_ANSWER_BYTES:
        size_bytes = len(json.dumps(body, ensure_ascii=False).encode())
        if size_bytes > MAX_ANSWER_BYTES:
            raise AnswerTooLarge(
                f"the answer would have {size_bytes:,} bytes; {MAX_ANSWER_BYTES:,} are the most",
                "ask for fewer at once with `limit`; let jobs store large results themselves",
            )
