"""An engine with a request type of each target, and callbacks of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shiftwork.definition_files import Definition
from shiftwork.testing import Engine
from shiftwork_core.callbacks import Job


def job_type(name: str, target: str = "python", **body: Any) -> Definition:
    return Definition("job-type", name, {"target": target, **body}, "here")


def request_type(name: str, *steps: tuple[str, dict[str, Any]]) -> Definition:
    """Return a type each of whose steps has one entry, of the step's name."""
    body = {"steps": [{"name": step, "jobs": [{"name": step, **jobs}]} for step, jobs in steps]}
    return Definition("request-type", name, body, "here")


RETRY = {"max_attempts": 5, "backoff": "exponential", "delay_s": 2, "max_delay_s": 60}
EACH = {"for_each": "params.customers"}
HTTP = {"service": "crm", "path": "/"}
DEFINITIONS = [
    job_type("invoices.send", retry=RETRY, timeout_s=60),
    job_type("invoices.report"),
    job_type("crm.create", "http", http=HTTP),
    job_type("render", "worker", worker={"response_timeout_s": 30}, retry=RETRY),
    request_type(
        "send-invoices",
        ("send", {"type": "invoices.send", **EACH}),
        ("report", {"type": "invoices.report"}),
    ),
    request_type("send-block", ("send", {"type": "invoices.send", "block": 10, **EACH})),
    request_type("onboard", ("create", {"type": "crm.create"})),
    request_type("film", ("render", {"type": "render", **EACH})),
]
CUSTOMERS = [{"id": "c1"}, {"id": "c2"}]


def send(job: Job) -> dict[str, Any]:
    """Send a customer's invoice."""
    return {job.item["id"]: "sent"}


def report(job: Job) -> dict[str, Any]:
    """Say how many were sent."""
    sent = sum(value == "sent" for value in job.extras.values())
    return {"report": f"{sent} of {len(job.params['customers'])} sent"}


CALLBACKS: dict[str, Callable[[Job], Any]] = {"invoices.send": send, "invoices.report": report}


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(DEFINITIONS, CALLBACKS.get)
    yield engine
    engine.close()
