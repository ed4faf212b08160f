"""How much time RunJobs gives a batch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from shiftwork_core import bootstrap
from shiftwork_core.services.requests.run_jobs import BatchReport

CONTEXT = SimpleNamespace(
    function_name="f",
    memory_limit_in_mb=512,
    invoked_function_arn="arn",
    aws_request_id="1",
    get_remaining_time_in_millis=lambda: 900_000,
)


@pytest.mark.filterwarnings("ignore:No application metrics to publish")
@pytest.mark.parametrize(
    "of_event, seconds", [({}, 900), ({"within_s": 280}, 280), ({"within_s": 1_000}, 900)]
)
def test_a_batch_has_the_less_of_what_its_process_and_its_caller_have(
    import_app: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    of_event: dict[str, int],
    seconds: int,
) -> None:
    given: list[timedelta] = []

    def run(request_id: str, jobs: list[str], remaining: timedelta, **_: Any) -> BatchReport:
        given.append(remaining)
        return BatchReport()

    monkeypatch.setattr(bootstrap.requests, "batch_runner", lambda: SimpleNamespace(run=run))
    import_app("run_jobs").handler({"request_id": "r", "jobs": ["x"], **of_event}, CONTEXT)
    assert given == [timedelta(seconds=seconds)]
