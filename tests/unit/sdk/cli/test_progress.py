"""Test following a request: what it asks the API, and what it shows on a terminal and off one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console
from typer.testing import Result

from shiftwork.api.shapes import Request
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render.progress import TreeView, changes, label_of
from shiftwork.cli.snapshots import Snapshot, follow
from tests.unit.sdk.fake_api import FakeApi, attempt, request, step

Run = Callable[..., Result]

NOW = datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)
ERROR = {"type": "Retry", "message": "lost the race"}


def running(**given: int) -> Request:
    steps = [step(1, "list", "completed", completed=1), step(2, "analyse", "running", **given)]
    steps.append(step(3, "report"))
    return request("r-1", "Inprogress", current_step=2, steps=steps)


def drawn(snapshot: Snapshot, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=110, **options)
    console.print(TreeView(snapshot, lambda: NOW))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


# -- polling -------------------------------------------------------------------------------------


def test_polling_slows_down_while_nothing_changes_and_speeds_up_again(api: FakeApi) -> None:
    busy, done = running(new=1), request("r-1", "Completed")
    api.lives["r-1"] = [*[busy] * 10, running(new=2), busy, done]
    waits: list[float] = []
    snapshots = list(follow(api.client(), "r-1", waits.append, lambda: 0.0))
    assert [s.request["status"] for s in snapshots if not s.is_partial] == ["Inprogress"] * 3 + [
        "Completed"
    ]
    assert waits[0] == 0.2
    assert waits[1:9] == sorted(waits[1:9])
    assert max(waits) == 2.0
    assert waits[-2:] == [0.2, 0.2]


def test_polling_takes_at_most_half_of_the_time(api: FakeApi) -> None:
    api.lives["r-1"] = [running(new=1), request("r-1", "Completed")]
    waits: list[float] = []
    times = iter([0.0, 5.0, 10.0])
    list(follow(api.client(), "r-1", waits.append, lambda: next(times)))
    assert waits == [5.0]


def test_jobs_are_read_only_when_the_counts_of_their_step_have_changed(api: FakeApi) -> None:
    busy, done = running(new=1), request("r-1", "Completed", steps=running(new=1)["steps"])
    api.lives["r-1"] = [busy, busy, busy, done]
    list(follow(api.client(), "r-1", lambda seconds: None))
    steps = [c.url.params["step"] for c in api.calls if c.url.path.endswith("/jobs")]
    assert steps == ["1", "2"]


def test_of_a_wide_step_only_failed_retried_and_running_attempts_are_read(api: FakeApi) -> None:
    api.lives["r-1"] = [running(completed=500, failure=1, inprogress=30), request("r-1", "Failed")]
    api.attempts = [attempt(n, "inprogress", index=2) for n in range(30)]
    api.attempts.append(attempt(99, "failure", index=2))
    _, first, *_ = follow(api.client(), "r-1", lambda seconds: None)
    assert first.attempts[2][0]["status"] == "failure"
    assert len(first.attempts[2]) == 21


# -- the tree ------------------------------------------------------------------------------------


def test_the_tree_shows_failures_then_retries_then_what_runs_and_folds_the_rest() -> None:
    attempts = [attempt(n, "completed", index=2) for n in range(30)]
    attempts += [attempt(n, "inprogress", index=2) for n in range(30, 40)]
    attempts += [
        attempt(40, "retry", index=2, error=ERROR),
        attempt(40, "new", index=2, tries=2, wake_at="2026-01-01T00:00:04.5Z"),
        attempt(41, "failure", index=2, error={"type": "Failure", "message": "no [such] file"}),
    ]
    snapshot = Snapshot(
        running(completed=30, inprogress=10, retry=1, new=1, failure=1), {2: attempts}
    )
    lines = drawn(snapshot).splitlines()
    assert "greet  r-1  Inprogress  3.0 s" in lines[0]
    assert "1 list" in lines[1] and "1/1" in lines[1]
    assert "30/42" in lines[2]
    assert "10 at work, 1 retried, 1 failed" in lines[2]
    assert "greet[41]  failure" in lines[3] and "no [such] file" in lines[3]
    assert "greet[40]  new  attempt 2  in 1.5 s  after Retry: lost the race" in lines[4]
    assert "greet[30]  inprogress" in lines[5]
    assert "… and 34 more" in lines[11]
    assert "3 report" in lines[12] and "pending" in lines[12]


def test_a_completed_step_folds_all_but_what_was_retried() -> None:
    attempts = [attempt(n, "completed") for n in range(5)]
    attempts += [attempt(9, "retry", error=ERROR), attempt(9, "completed", tries=2)]
    steps = [step(1, "greet", "completed", completed=6, retry=1)]
    done = request("r-1", "Completed", steps=steps)
    lines = drawn(Snapshot(done, {1: attempts})).splitlines()
    assert "greet[9]  completed  attempt 2" in lines[2]
    assert "after Retry: lost the race" in lines[2]
    assert "… and 5 more" in lines[3]
    steps[0]["jobs"]["retry"] = 0
    assert len(drawn(Snapshot(done, {1: attempts[:5]})).splitlines()) == 2


def test_a_wide_completed_step_shows_retries_but_not_the_attempts_after_them() -> None:
    steps = [step(1, "greet", "completed", completed=500, retry=1)]
    snapshot = Snapshot(
        request("r-1", "Completed", steps=steps), {1: [attempt(9, "retry", error=ERROR)]}
    )
    lines = drawn(snapshot).splitlines()
    assert "greet[9]  retry" in lines[2]
    assert "… and 499 more" in lines[3]


def test_many_steps_show_those_around_the_current_one() -> None:
    steps = [step(n, f"s{n}", "completed", completed=1) for n in range(1, 50)]
    steps += [step(50, "s50", "running", new=1), *(step(n, f"s{n}") for n in range(51, 101))]
    text = drawn(Snapshot(request("r-1", "Inprogress", current_step=50, steps=steps)))
    assert "… and 44 more steps" in text
    assert "… and 45 more steps" in text
    assert "45 s45" in text and "44 s44" not in text and "55 s55" in text and "56 s56" not in text


def test_the_error_of_a_failed_request_is_shown_below_its_steps() -> None:
    error = {"type": "Failure", "message": "no", "step": 1, "job": "j", "attempt_id": "a"}
    failed = request("r-1", "Failed", error=error)
    assert drawn(Snapshot(failed)).splitlines()[-1].endswith("Failure: no")


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = Snapshot(running(failure=1, new=1), {2: [attempt(0, "failure", index=2)]})
    assert "\x1b[1;31m" in drawn(snapshot, force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in drawn(snapshot, force_terminal=True, color_system="standard")


@pytest.mark.parametrize(
    ("item", "label"),
    [
        (None, "greet[0]"),
        ("a.md", "greet[0] a.md"),
        (7, "greet[0] 7"),
        ({"size": 1, "name": "a.md"}, "greet[0] a.md"),
        (["a"], "greet[0]"),
        ("/".join(["folder"] * 20), "greet[0] …der/folder/folder/folder/folder/folder"),
    ],
)
def test_a_job_is_named_with_a_word_on_its_item(item: object, label: str) -> None:
    assert label_of(attempt(0, "new", item=item)) == label


# -- plain lines ---------------------------------------------------------------------------------


def test_every_change_is_one_plain_line() -> None:
    retry = attempt(0, "retry", index=2, error=ERROR)
    first = Snapshot(running(inprogress=2), {})
    second = Snapshot(running(inprogress=1, retry=1, new=1), {2: [retry]})
    assert [line.rpartition("  ")[2] for line in changes(None, first)][1:] == [
        "step 1/3 list: completed, 1/1 jobs in 2.0 s",
        "step 2/3 analyse: running, 0/2 jobs, 2 at work",
    ]
    assert [line.rpartition("  ")[2] for line in changes(first, second)] == [
        "job greet[0]: attempt 1 retry (Retry: lost the race)",
        "step 2/3 analyse: running, 0/2 jobs, 1 at work, 1 retried",
    ]
    assert changes(second, second) == []


def test_a_long_reason_takes_no_screen_of_its_own() -> None:
    retry = attempt(0, "retry", index=2, error={"type": "Retry", "message": "x" * 4000})
    lines = changes(None, Snapshot(running(retry=1, new=1), {2: [retry]}))
    [line] = [line for line in lines if "job greet" in line]
    assert line.endswith("xxx…)")
    assert len(line) < 400


def test_failures_before_a_users_retry_are_not_written_again() -> None:
    old = attempt(0, "failure", index=2, error=ERROR)
    new = attempt(0, "failure", index=2, tries=2, error=ERROR)
    first = Snapshot(running(new=1, failure=1), {2: [old]})
    second = Snapshot(running(failure=2), {2: [old, new]})
    assert not any("job greet" in line for line in changes(None, first))
    assert sum("job greet[0]: attempt 2 failure" in line for line in changes(first, second)) == 1


def test_many_retries_at_once_are_summed_up() -> None:
    retries = [attempt(n, "retry", index=2, error=ERROR) for n in range(30)]
    lines = changes(None, Snapshot(running(new=30, retry=30), {2: retries}))
    assert len(lines) == 9
    assert "… and 25 more retries and failures" in lines[-2]


def test_a_line_has_the_time_at_which_the_request_was_asked_for() -> None:
    later = datetime.fromisoformat(running()["created_at"]) + timedelta(seconds=3)
    lines = changes(None, Snapshot(running(new=1), asked_at=later))
    assert lines
    assert {line.strip().partition("  ")[0] for line in lines} == {"3.0 s"}


def test_watch_prints_plain_lines_without_a_terminal(run: Run, api: FakeApi) -> None:
    api.lives["r-1"] = [running(new=1), request("r-1", "Completed")]
    result = run("watch", "r-1")
    assert "request r-1 (greet): Inprogress" in result.stdout
    assert result.stdout.splitlines()[-1].strip() == "5.0 s  request r-1: Completed in 5.0 s"
    assert "shiftwork show r-1" in result.stderr


@pytest.mark.parametrize("status", ["Failed", "Cancelled"])
def test_watching_a_request_that_does_not_complete_exits_with_1(
    status: str, run: Run, api: FakeApi
) -> None:
    api.lives["r-1"] = [request("r-1", status)]
    assert run("watch", "last").exit_code == Exit.FAILED


def test_progress_goes_to_stderr_when_stdout_is_for_a_machine(run: Run, api: FakeApi) -> None:
    api.lives["r-1"] = [running(new=1), running(new=1), request("r-1", "Completed")]
    result = run("submit", "greet", "--follow", "-o", "json")
    assert json.loads(result.stdout)["status"] == "Completed"
    assert "step 2/3 analyse" in result.stderr


def test_ctrl_c_leaves_the_request_running_and_says_how_to_watch_again(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    api.lives["r-1"] = [running(new=1)]
    monkeypatch.setattr("time.sleep", interrupt)
    result = run("watch", "r-1")
    assert result.exit_code == Exit.INTERRUPTED
    assert "shiftwork watch r-1" in result.stderr
    assert {call.method for call in api.calls} == {"GET"}


def test_the_live_tree_ends_with_the_request(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.lives["r-1"] = [running(new=1), request("r-1", "Completed", completed_at=_later())]
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("watch", "r-1")
    assert "analyse" in result.stdout
    assert "Completed" in result.stdout


def _later() -> str:
    return (datetime.now(UTC) + timedelta(seconds=1)).isoformat()


def test_the_counts_of_a_step_do_not_wait_for_the_list_of_its_jobs(api: FakeApi) -> None:
    api.lives["r-1"] = [running(completed=20, inprogress=480)]
    first = next(follow(api.client(), "r-1", lambda seconds: None))
    assert [call.url.path for call in api.calls] == ["/stage/v1/requests/r-1"]
    assert "20/500" in drawn(first)


def test_a_step_whose_jobs_are_being_made_is_said_to_be_planned() -> None:
    plan = request("r-1", "Inprogress", steps=[step(1, "list", "running")])
    assert "planning" in drawn(Snapshot(plan))


# -- a request that somebody has retried ---------------------------------------------------------


def retried(status: str = "Inprogress") -> Request:
    steps = [step(1, "list", "completed", completed=1), step(2, "send", "running", inprogress=1)]
    return request("r-1", status, steps=steps, retried_at="2026-01-05T00:00:00Z")


LATER = datetime(2026, 1, 5, 0, 0, 7, tzinfo=UTC)


def test_the_time_of_a_retried_request_counts_from_its_retry() -> None:
    lines = changes(None, Snapshot(retried(), asked_at=LATER))
    assert {line[:8].strip() for line in lines} == {"7.0 s"}
    view = TreeView(Snapshot(retried()), lambda: LATER)
    console = Console(file=io.StringIO(), width=110)
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    tree = console.file.getvalue().splitlines()
    assert tree[0].endswith("7.0 s")
    assert tree[1].endswith("2.0 s")  # Completed before the retry.
    assert tree[2].rstrip().endswith("7.0 s")
