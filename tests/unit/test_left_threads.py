"""A thread that does not stop: its process ends before another call could thaw it."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from shiftwork_core import bootstrap
from shiftwork_core.adapters.threads import side_by_side
from shiftwork_core.callbacks import Job
from shiftwork_core.services.workspaces.ticks import TickCalls
from shiftwork_core.telemetry import logger
from tests.template import ROOT
from tests.world.world import World

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")
WAIT_S = 10.0


class Ended(BaseException):
    """The process has ended."""


@pytest.fixture
def app(
    import_app: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, world: World
) -> ModuleType:
    """Return RunJobs, with the stores of the world; it would end by `Ended`."""

    def end(status: int) -> None:
        raise Ended(status)

    app = import_app("run_jobs")
    monkeypatch.setattr(bootstrap.requests, "batch_runner", lambda: world.runner)
    monkeypatch.setattr("shiftwork_core.left_threads.os._exit", end)
    return app


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what the process logs."""
    text = io.StringIO()
    monkeypatch.setattr(logger.logger_handler, "stream", text)
    return text


@pytest.fixture
def may_end() -> Iterator[Event]:
    """Return what stubborn callbacks wait for."""
    event = Event()
    yield event
    event.set()


def context(*remaining_s: float) -> Any:
    """Return the context of a call, whose time is asked for at its begin and at its end."""
    remaining = iter(remaining_s)
    return SimpleNamespace(
        aws_request_id="call-1",
        function_name="run-jobs",
        memory_limit_in_mb=1024,
        invoked_function_arn="arn",
        get_remaining_time_in_millis=lambda: int(next(remaining) * 1000),
    )


def event_of(world: World, *names: str) -> dict[str, Any]:
    """Submit a request with a job of each type; return the event of its batch."""
    world.request_type("some", [{"name": name, "type": name} for name in names])
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    keys = [str(attempt.key) for attempt in world.attempts(request_id)]
    return {"request_id": request_id, "jobs": keys}


def errors_in(output: str) -> list[dict[str, Any]]:
    lines = map(json.loads, output.splitlines())
    return [line for line in lines if line["level"] == "ERROR"]


def stubborn(world: World, may_end: Event) -> None:
    """Define a job that takes too long and does not look at its stop signal."""

    def work(job: Job) -> None:
        world.clock.advance(31)
        may_end.wait()

    world.job_type("stubborn", work, timeout_s=30)


def test_a_process_ends_once_the_outcomes_are_recorded_if_a_job_does_not_stop(
    world: World, app: ModuleType, may_end: Event, log: io.StringIO
) -> None:
    stubborn(world, may_end)
    world.job_type("quick", lambda job: None)
    event = event_of(world, "stubborn", "quick")
    with pytest.raises(Ended) as ended:
        app.handler(event, context(900, 0))
    assert ended.value.args == (os.EX_TEMPFAIL,)
    request_id = event["request_id"]
    assert world.statuses(request_id) == ["stubborn 1 retry", "stubborn 2 new", "quick 1 completed"]
    [line] = errors_in(log.getvalue())
    assert line["left"] == [f"{request_id}.1.0.1"]
    assert (line["request_id"], line["function_request_id"]) == (request_id, "call-1")
    # The call is made again, in a new process, and finds what was recorded.
    may_end.set()
    assert app.handler(event, context(900, 900)) == {"is_waiting": False}
    assert len(world.attempts(request_id)) == 3


def test_a_process_goes_on_if_its_jobs_stop_when_they_are_told_to(
    world: World, app: ModuleType
) -> None:
    has_stopped = Event()

    def work(job: Job) -> None:
        world.clock.advance(31)
        assert job.stop.wait(WAIT_S)  # type: ignore[attr-defined]
        has_stopped.set()

    world.job_type("work", work, timeout_s=30)
    assert app.handler(event_of(world, "work"), context(900, 900)) == {"is_waiting": True}
    assert has_stopped.is_set()


def test_a_process_with_a_left_thread_ends_when_its_batch_fails_too(
    world: World,
    app: ModuleType,
    may_end: Event,
    monkeypatch: pytest.MonkeyPatch,
    log: io.StringIO,
) -> None:
    def fail(*_: Any) -> bool:
        raise ZeroDivisionError

    def work(job: Job) -> None:
        world.clock.advance(21)
        may_end.wait()

    monkeypatch.setattr(world.jobs, "renew", fail)
    world.job_type("work", work)
    with pytest.raises(Ended):
        app.handler(event_of(world, "work"), context(900, 0))
    [line] = errors_in(log.getvalue())
    assert line["exception_name"] == "ZeroDivisionError"


def test_a_process_whose_driver_hangs_ends_with_the_tick(
    import_app: Callable[[str], ModuleType],
    app: ModuleType,
    may_end: Event,
    log: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hang() -> None:
        may_end.wait()

    times = itertools.count()
    calls = TickCalls(
        lambda calls, _: side_by_side(calls, lambda: 0.001),
        lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=10 * next(times)),
        "job_id",
        "transient",
        "failed",
        max_wait=timedelta(seconds=25),
    )
    switcher = SimpleNamespace(tick=lambda: calls.make({"job-1": hang}))
    monkeypatch.setattr(bootstrap.workspaces, "switcher", lambda: switcher)
    with pytest.raises(Ended):
        import_app("switch_workspaces").handler({}, context(0))
    [line] = errors_in(log.getvalue())
    assert line["left"] == ["job-1"]


#: Run in a process of its own, which nothing else would end.
_STUBBORN = """
from threading import Event
from types import SimpleNamespace

from shiftwork_core.adapters.threads import side_by_side
from shiftwork_core.left_threads import ended_with_the_call

with ended_with_the_call(SimpleNamespace(get_remaining_time_in_millis=lambda: 0)):
    next(side_by_side({"stubborn": Event().wait}, lambda: 0.001))
print("still here")
"""


def test_a_thread_that_never_ends_does_not_keep_the_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _STUBBORN],
        env={"PYTHONPATH": str(ROOT / "layers" / "core")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == os.EX_TEMPFAIL, ended.stderr
    [line] = errors_in(ended.stdout)
    assert line["left"] == ["stubborn"]
