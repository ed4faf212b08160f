"""Test the command that shows metrics."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Literal

import httpx2
import pytest
from typer.testing import Result

from shiftwork.api.shapes import Rebuild
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render.output import parse_time
from tests.unit.sdk.fake_api import FakeApi

Run = Callable[..., Result]

METRICS = """\
shiftwork_requests_total{status="Queuing",type="index"} 9.0
shiftwork_requests_total{status="Completed",type="index"} 5.0
shiftwork_requests_total{status="Failed",type="index"} 2.0
shiftwork_requests_total{status="Cancelled",type="index"} 1.0
shiftwork_request_retries_total{type="index"} 2.0
# TYPE shiftwork_request_duration_seconds histogram
shiftwork_request_duration_seconds_bucket{le="+Inf",type="index"} 5.0
shiftwork_request_duration_seconds_count{type="index"} 5.0
shiftwork_request_duration_seconds_sum{type="index"} 600.0
shiftwork_attempts_total{outcome="completed",type="render"} 7.0
shiftwork_attempts_total{outcome="failure",type="render"} 1.0
shiftwork_attempts_total{outcome="retry",type="render"} 3.0
shiftwork_attempts_total{outcome="cancelled",type="render"} 0.0
shiftwork_queue_jobs{domain="",type="render"} 4.0
shiftwork_queue_jobs{domain="gpu",type="render"} 2.0
shiftwork_queue_jobs{domain="",type="idle"} 0.0
shiftwork_queue_oldest_seconds{domain="",type="render"} 12.0
shiftwork_queue_oldest_seconds{domain="gpu",type="render"} 90.0
shiftwork_queue_oldest_seconds{domain="",type="idle"} 0.0
shiftwork_workers{status="idle"} 2.0
shiftwork_workers{status="busy"} 1.0
shiftwork_workers{status="error"} 0.0
shiftwork_lost_workers 1.0
shiftwork_stuck_requests{lane="new-requests"} 1.0
shiftwork_stuck_requests{lane="inprogress-requests"} 2.0
shiftwork_dead_letters{queue="wake"} 3.0
shiftwork_late_switch_seconds 61.0
shiftwork_stream_lag_seconds{table="jobs"} 31.0
shiftwork_counters_up 1.0
"""


@pytest.fixture(autouse=True)
def metrics(api: FakeApi) -> None:
    api.metrics = METRICS
    api.rebuilds = [a_rebuild("none")]


def test_types_are_listed_with_what_happened_and_what_waits(run: Run) -> None:
    shown = run("metrics", "show").stdout.splitlines()
    header = next(n for n, line in enumerate(shown) if line.startswith("TYPE"))
    titles = shown[header].split()
    assert titles == [
        *("TYPE", "OF", "COMPLETED", "FAILED", "CANCELLED", "RETRIED", "WAITING", "OLDEST", "TOOK")
    ]
    rows = [" ".join(line.split()) for line in shown[header + 1 :]]
    assert rows == [
        "index requests 5 2 1 2 - - 2 m 00 s",
        "idle jobs 0 0 0 0 0 - -",
        "render jobs 7 1 0 3 6 1 m 30 s -",
    ]


def test_the_platform_comes_first(run: Run) -> None:
    shown = run("metrics", "show").stdout
    fields = {" ".join(line.split()) for line in shown.partition("TYPE")[0].splitlines()}
    assert {
        "workers 2 idle, 1 busy",
        "lost workers 1",
        "stuck requests 3",
        "dead letters 3",
        "late switch 1 m 01 s",
    } <= fields


def test_json_has_numbers(run: Run) -> None:
    shown = json.loads(run("metrics", "show", "-o", "json").stdout)
    assert shown["platform"] == {
        "workers": {"idle": 2, "busy": 1},
        "lost_workers": 1,
        "stuck_requests": 3,
        "dead_letters": 3,
        "late_switch_s": 61.0,
    }
    assert shown["types"][2] == {
        "name": "render",
        "of": "jobs",
        "completed": 7,
        "failed": 1,
        "cancelled": 0,
        "retried": 3,
        "waiting": 6,
        "oldest_s": 90.0,
        "took_s": None,
    }


def test_it_says_how_far_the_counters_are_behind(run: Run, api: FakeApi) -> None:
    assert "31.0 s behind." in run("metrics", "show").stderr
    api.metrics = METRICS.replace("31.0", "91.0")
    assert "more than usual" in run("metrics", "show").stderr


def test_it_says_that_the_counters_cannot_be_read(run: Run, api: FakeApi) -> None:
    api.metrics = METRICS.replace("counters_up 1", "counters_up 0")
    assert "cannot be read" in run("metrics", "show").stderr


def test_a_rebuild_that_runs_is_told(run: Run, api: FakeApi) -> None:
    assert "rebuild" not in run("metrics", "show").stderr
    api.rebuilds = [a_rebuild("counting", 12_345)]
    said = run("metrics", "show").stderr
    assert "A rebuild of the counters runs. 12,345 rows are counted." in said
    assert json.loads(run("metrics", "show", "-o", "json").stdout)["rebuild"]["rows"] == 12_345


def test_missing_changes_are_told_unless_a_rebuild_counts_them(run: Run, api: FakeApi) -> None:
    api.metrics = METRICS + 'shiftwork_counters_gap{table="jobs"} 0.0\n'
    assert "missing" not in run("metrics", "show").stderr
    api.metrics = METRICS + 'shiftwork_counters_gap{table="jobs"} 1.0\n'
    assert "Count again: shiftwork metrics rebuild" in run("metrics", "show").stderr
    api.rebuilds = [a_rebuild("waiting")]
    assert "missing" not in run("metrics", "show").stderr


def test_what_was_not_measured_is_left_out(run: Run, api: FakeApi) -> None:
    api.metrics = "shiftwork_counters_up 1.0\n"
    result = run("metrics", "show")
    assert result.exit_code == Exit.OK
    assert result.stdout.split() == ["workers", "none"]


def test_without_the_library_it_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client.parser", None)
    result = run("metrics", "show")
    assert result.exit_code != Exit.OK
    assert "prometheus-client" in result.stderr


def test_an_answer_that_is_no_text_is_refused(run: Run, api: FakeApi) -> None:
    api.metrics = ""
    api.interruptions.append(httpx2.Response(200, json={}))
    result = run("metrics", "show")
    assert result.exit_code != Exit.OK
    assert "not as Shiftwork does" in result.stderr


def a_rebuild(status: Literal["none", "waiting", "counting"], rows: int = 0) -> Rebuild:
    """Return how far a rebuild is."""
    return {
        "status": status,
        "since": "2026-01-31T09:00:00.000Z",
        "gaps": {},
        "cut": "2026-01-31T09:01:15.000Z",
        "reads_from": "2026-01-31T09:02:30.000Z",
        "table": "jobs",
        "rows": rows,
    }


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.mark.usefixtures("no_waiting")
def test_a_rebuild_is_followed_until_it_is_over(run: Run, api: FakeApi) -> None:
    api.rebuilds = [
        a_rebuild("waiting"),
        a_rebuild("waiting"),
        a_rebuild("counting", 12_345),
        a_rebuild("none"),
    ]
    result = run("metrics", "rebuild")
    assert result.exit_code == Exit.OK
    lines = result.stderr.splitlines()
    at = parse_time("2026-01-31T09:02:30.000Z").astimezone()
    assert lines == [
        f"Waiting until {at:%H:%M:%S} (local time) for changes that are under way; "
        "then reading, a minute or more.",
        "12,345 rows are counted.",
        "The new counters are in place. See: shiftwork metrics show",
    ]
    assert [call.method for call in api.calls] == ["POST", "GET", "GET", "GET"]


def test_a_rebuild_can_be_left_alone(run: Run, api: FakeApi) -> None:
    api.rebuilds = [a_rebuild("waiting")]
    result = run("metrics", "rebuild", "--no-wait", "-o", "json")
    assert json.loads(result.stdout)["status"] == "waiting"
    assert [call.method for call in api.calls] == ["POST"]


def test_ctrl_c_says_that_the_rebuild_goes_on(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    api.rebuilds = [a_rebuild("counting")]
    result = run("metrics", "rebuild")
    assert result.exit_code == Exit.INTERRUPTED
    assert "The rebuild goes on." in result.stderr
