"""The bounds that openapi.json names for the routes of tasks are those that ServeTasks has."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.functions.serve_tasks.conftest import TaskApi

DOCUMENT = json.loads(
    (Path(__file__).resolve().parents[4] / "docs" / "reference" / "openapi.json").read_text()
)
#: A field of a body, what bounds it, and the constant of ServeTasks that does.
BOUNDS = [
    ("ExchangeInput.wait_s", "maximum", "exchange_route.MAX_WAIT_S"),
    ("ExchangeInput.results", "maxItems", "exchange_route.MAX_RESULTS"),
    ("ExchangeInput.wants", "maxItems", "exchange_route.MAX_WANTS"),
    ("ExchangeInput.running", "maxItems", "exchange_route.MAX_RUNNING"),
    ("ExchangeInput.worker_id", "maxLength", "shiftwork_core.domain.names.MAX_NAME_LENGTH"),
    ("WantInput.count", "maximum", "task_delivery.MAX_COUNT"),
    ("TaskReportInput.callback_after_s", "maximum", "worker_reports.MAX_CALLBACK_S"),
    ("ConductorTaskResultInput.callbackAfterSeconds", "maximum", "worker_reports.MAX_CALLBACK_S"),
    ("ConductorTaskDefInput.description", "maxLength", "task_definitions.MAX_DESCRIPTION_LENGTH"),
    ("ConductorTaskDefInput.retryCount", "maximum", "task_definitions.MAX_RETRIES"),
    ("ConductorTaskDefInput.timeoutSeconds", "maximum", "task_definitions.MAX_TIME_S"),
    ("ConductorTaskDefInput.responseTimeoutSeconds", "maximum", "task_definitions.MAX_TIME_S"),
    ("ConductorTaskDefInput.backoffScaleFactor", "maximum", "task_definitions.MAX_SCALE"),
    ("ConductorTaskDefInput.concurrentExecLimit", "maximum", "task_definitions.MAX_CONCURRENCY"),
    ("ConductorTaskDefInput.rateLimitPerFrequency", "maximum", "task_definitions.MAX_RATE"),
    (
        "ConductorTaskDefInput.rateLimitFrequencyInSeconds",
        "maximum",
        "task_definitions.MAX_RATE_WINDOW_S",
    ),
    ("ConductorStartInput.priority", "maximum", "workflow_routes.MAX_PRIORITY"),
    ("ConductorStartInput.taskToDomain", "maxProperties", "workflow_routes.MAX_DOMAINS"),
]


@pytest.mark.parametrize(("field", "keyword", "constant"), BOUNDS, ids=[b[0] for b in BOUNDS])
def test_a_bound_in_the_document_is_that_of_the_function(
    import_app: Callable[[str], ModuleType], field: str, keyword: str, constant: str
) -> None:
    import_app("serve_tasks")
    module, _, name = constant.rpartition(".")
    schema, _, key = field.partition(".")
    given: dict[str, Any] = DOCUMENT["components"]["schemas"][schema]["properties"][key]
    bounds = [s[keyword] for s in [given, *given.get("anyOf", [])] if keyword in s]
    assert bounds == [getattr(importlib.import_module(module), name)]


def test_a_call_asks_about_so_many_queues_and_no_more(task_api: TaskApi) -> None:
    [bound] = [
        parameter["schema"]["maxItems"]
        for parameter in DOCUMENT["paths"]["/api/tasks/queue/sizes"]["get"]["parameters"]
        if parameter["name"] == "taskType"
    ]
    query = "&".join(f"taskType=t{n}" for n in range(bound))
    assert len(task_api("GET", "/api/tasks/queue/sizes", query=query).body) == bound
    answer = task_api("GET", "/api/tasks/queue/sizes", query=f"{query}&taskType=one-more")
    assert answer.status == 400
    assert "101 entries; 100 are the most" in answer.body["message"]
