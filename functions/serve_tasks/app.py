"""ServeTasks: serve Conductor's task API under /api, and the exchange of our own workers.

Workers poll it, so it is small: it has no models and no framework, and it imports what a poll does
not need with the first call that does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from error_answers import error_answer
from http_messages import Answer, Call
from not_offered import NOT_OFFERED, refuse
from shiftwork_core.caller import caller_of
from shiftwork_core.domain.texts import written_out
from shiftwork_core.errors import AnswerTooLarge, MethodNotAllowed, NotFound, Refusal
from shiftwork_core.routes import TASK_ROUTES, Route, allowed_methods, misplaced_word, path_of
from shiftwork_core.telemetry import logger, metrics, report_call
from task_delivery import MAX_ANSWER_BYTES, escaped_bytes

#: The module and function of every route that Shiftwork offers.
_HANDLERS = {
    ("POST", "/v1/tasks/exchange"): "exchange_route.exchange",
    ("POST", "/api/token"): "token_route.issue",
    ("GET", "/api/tasks/poll/{*type}"): "task_routes.poll",
    ("GET", "/api/tasks/poll/batch/{*type}"): "task_routes.poll_batch",
    ("POST", "/api/tasks"): "task_routes.update",
    ("POST", "/api/tasks/update-v2"): "task_routes.update_and_poll",
    ("POST", "/api/tasks/{*workflow_id}/{*name}/{*status}"): "task_routes.update_by_name",
    ("GET", "/api/tasks/{*task_id}"): "task_routes.get",
    ("POST", "/api/tasks/{*task_id}/log"): "task_routes.add_log",
    ("GET", "/api/tasks/{*task_id}/log"): "task_routes.get_logs",
    ("GET", "/api/tasks/queue/size"): "task_routes.queue_size",
    ("GET", "/api/tasks/queue/sizes"): "task_routes.queue_sizes",
    ("GET", "/api/tasks/queue/all"): "task_routes.all_queues",
    ("GET", "/api/tasks/queue/polldata"): "task_routes.poll_data",
    ("GET", "/api/tasks/queue/polldata/all"): "task_routes.all_poll_data",
    ("GET", "/api/metadata/taskdefs"): "task_definition_routes.get_all",
    ("POST", "/api/metadata/taskdefs"): "task_definition_routes.create",
    ("PUT", "/api/metadata/taskdefs"): "task_definition_routes.update",
    ("GET", "/api/metadata/taskdefs/{*type}"): "task_definition_routes.get",
    ("DELETE", "/api/metadata/taskdefs/{*type}"): "task_definition_routes.delete",
    ("POST", "/api/workflow"): "workflow_routes.start",
    ("POST", "/api/workflow/{*name}"): "workflow_routes.start_by_name",
    ("GET", "/api/workflow/{*workflow_id}"): "workflow_routes.get",
    ("GET", "/api/workflow/{*workflow_id}/status"): "workflow_routes.get_status",
    ("DELETE", "/api/workflow/{*workflow_id}"): "workflow_routes.terminate",
    ("POST", "/api/workflow/{*workflow_id}/retry"): "workflow_routes.retry",
}
_PAGE = "docs/reference/conductor-api.md lists all routes"
#: How to name a type that is called like a fixed word of these routes.
_OTHERWISE = {
    ("POST", "/api/workflow/{*name}"): (
        "start a request type of that name by POST /api/workflow, with its name in the body"
    ),
    ("GET", "/api/tasks/poll/{*type}"): (
        "poll for a job type of that name by GET /api/tasks/poll/batch/{type}"
    ),
}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one call. Every error becomes an answer in JSON that shows nothing of its inside."""
    method, path = path_of(event)
    route = None
    try:
        # This comes first: the authorizer lets an expired token through whatever the path.
        caller = caller_of(event)
        route = _find(method, path)
        answer = _handler(route)(Call.of(event, caller, route, path))
        _check_size(answer)
    except Exception as error:
        is_conductors = not path.startswith("/v1/")
        answer = error_answer(error, context.aws_request_id, is_conductors=is_conductors)
    report_call(method, route, answer.status)
    return answer.to_event()


def _find(method: str, path: str) -> Route:
    """Return the route of a call. HEAD has none: it must change nothing, and a poll claims."""
    for route in TASK_ROUTES:
        if route.method == method and route.fits(path):
            if word := misplaced_word(route, path):
                raise _misplaced(word, route, path)
            return route
    shown = written_out(path[:200])
    if allowed := allowed_methods(path):
        raise MethodNotAllowed(f"{shown} has no method {method}", allowed)
    raise NotFound(f"there is no route {method} {shown}", _PAGE)


def _misplaced(word: str, route: Route, path: str) -> Refusal:
    """Return the refusal of a fixed word of the API where the route has a name or an id."""
    detail = f"{word!r} is a word of the API, and no name or id in {route.method} {route.path}"
    instead = _OTHERWISE.get((route.method, route.path), _PAGE)
    if allowed := allowed_methods(path):
        return MethodNotAllowed(f"{detail}: {instead}", allowed)
    return NotFound(detail, instead)


def _handler(route: Route) -> Callable[[Call], Answer]:
    key = (route.method, route.path)
    if key in NOT_OFFERED:
        return partial(refuse, key)
    module, _, function = _HANDLERS[key].partition(".")
    found: Callable[[Call], Answer] = getattr(import_module(module), function)
    return found


def _check_size(answer: Answer) -> None:
    """Refuse an answer that Lambda would not pass on, while the client can still be told why."""
    size_bytes = escaped_bytes(answer.body)
    if size_bytes > MAX_ANSWER_BYTES + 50_000:
        raise AnswerTooLarge(
            f"the answer would have {size_bytes:,} bytes; 6,000,000 are the most",
            "ask for less: includeTasks=false, or page by page: GET /v1/requests/{id}/jobs",
        )
