"""The functions that read queues and streams: what they do with each record of their samples."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from shiftwork_core import bootstrap
from tests.template import ROOT

Calls = list[tuple[object, ...]]
CONTEXT = SimpleNamespace(
    function_name="f",
    memory_limit_in_mb=512,
    invoked_function_arn="arn",
    aws_request_id="1",
    get_remaining_time_in_millis=lambda: 60_000,
)

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")


def sample(name: str) -> Any:
    return json.loads((ROOT / "events" / name).read_text())


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Return the calls that the functions make of their services."""
    calls: Calls = []

    def service(**methods: str) -> Callable[[], SimpleNamespace]:
        def record(name: str) -> Callable[..., None]:
            return lambda *args: calls.append((name, *args))

        found = SimpleNamespace(**{name: record(act) for name, act in methods.items()})
        return lambda: found

    monkeypatch.setattr(bootstrap.world, "batch_invoker", service(invoke="invoke"))
    monkeypatch.setattr(bootstrap.requests, "executions", service(start_in_time="start"))
    monkeypatch.setattr(bootstrap.workspaces, "scheduler", service(look_at="look at"))
    monkeypatch.setattr(
        bootstrap.workspaces, "switcher", service(run="switch", announce="announce")
    )
    return calls


REQUEST = "5f0c6c1e-6d1c-4f5b-9f59-2f1f3f0b6a01"


def test_retry_jobs_acts_on_the_good_messages_and_names_the_one_that_is_not_json(
    import_app: Callable[[str], ModuleType], calls: Calls
) -> None:
    event = sample("retry_jobs/batch-with-a-bad-message.json")
    answer = import_app("retry_jobs").handler(event, CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": event["Records"][1]["messageId"]}]}
    assert calls == [("invoke", REQUEST, ["0001#000001#0002"]), ("start", REQUEST)]


@pytest.mark.parametrize(
    ("event", "act"),
    [
        ("wake-job", ("switch", "7f0c6c1e-6d1c-4f5b-9f59-2f1f3f0b6a02")),
        ("look-at-workspace", ("look at", "office")),
        ("new-job", ("announce", "7f0c6c1e-6d1c-4f5b-9f59-2f1f3f0b6a02")),
    ],
)
def test_switch_workspaces_does_what_each_kind_of_record_asks(
    import_app: Callable[[str], ModuleType], calls: Calls, event: str, act: tuple[str, str]
) -> None:
    app = import_app("switch_workspaces")
    assert app.handler(sample(f"switch_workspaces/{event}.json"), CONTEXT) == {
        "batchItemFailures": []
    }
    [call] = calls
    assert call[:2] == act
