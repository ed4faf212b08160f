"""Test the commands of lifecycle jobs, and following one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from shiftwork.cli.commands import lifecycle_jobs
from shiftwork.cli.exit_codes import Exit
from tests.unit.sdk.fake_api import FakeApi
from tests.unit.sdk.fake_workspaces import job, line, workspace

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def dev(api: FakeApi) -> None:
    api.workspaces.put(workspace("dev"))


# -- lifecycle jobs ------------------------------------------------------------------------------


@pytest.fixture
def jobs(api: FakeApi) -> None:
    api.workspaces.lives = {
        "j-3": [job("j-3", "running")],
        "j-2": [job("j-2", "failed", operation="stop", deadline="2026-11-25T19:00:00.000Z")],
        "j-1": [job("j-1", "pending", workspace_id="gpu", deadline="2026-11-30T07:00:00.000Z")],
    }
    api.workspaces.logs = {"j-3": [[line(1, "attempt 1: start"), line(2, "refused", "warn")]]}


def test_jobs_are_listed_newest_first(run: Run, jobs: None) -> None:
    lines = run("lifecycle-jobs").stdout.splitlines()
    cells = [[cell.strip() for cell in text.split("  ") if cell.strip()] for text in lines]
    assert cells == [
        ["JOB ID", "STATE", "DUE", "WHAT"],
        ["j-3", "running", "12:13", "start dev: somebody asked for it"],
        ["j-2", "failed", "25 Nov 20:00", "stop dev: the driver refuses"],
        ["j-1", "pending", "Mon 08:00", "start gpu: somebody asked for it"],
    ]


def test_the_filters_and_the_limit_of_jobs_hold(run: Run, jobs: None, api: FakeApi) -> None:
    lines = run("lifecycle-jobs", "--workspace", "gpu", "--state", "Pending").stdout.splitlines()
    assert [text.split()[0] for text in lines[1:]] == ["j-1"]
    result = run("lifecycle-jobs", "--limit", "1")
    assert len(result.stdout.splitlines()) == 2
    assert "shiftwork lifecycle-jobs --limit 5" in result.stderr


def test_without_jobs_that_is_said(run: Run) -> None:
    assert "There are none" in run("lifecycle-jobs").stderr
    result = run("lifecycle-job", "show", "last")
    assert result.exit_code == Exit.NOT_FOUND
    assert "shiftwork workspaces" in result.stderr


def test_last_is_the_newest_job(run: Run, jobs: None) -> None:
    shown = run("lifecycle-job", "show", "last").stdout
    assert "job        j-3" in shown
    assert "does       start dev" in shown


def test_a_job_that_failed_is_shown_with_its_error(run: Run, jobs: None) -> None:
    shown = run("lifecycle-job", "show", "j-2").stdout
    assert "error      the driver refuses" in shown
    assert "took       42.0 s" in shown


def test_the_log_of_a_job_is_lines_in_local_time(run: Run, jobs: None) -> None:
    assert run("lifecycle-job", "logs", "last").stdout.splitlines() == [
        "2026-11-26 12:13:01  info   attempt 1: start",
        "2026-11-26 12:13:02  warn   refused",
    ]
    assert "Nothing was done" in run("lifecycle-job", "logs", "j-1").stderr


def test_a_job_is_cancelled(run: Run, jobs: None) -> None:
    result = run("lifecycle-job", "cancel", "j-1")
    assert result.stdout == "j-1 is cancelled: this start is left out.\n"
    assert "shiftwork plan gpu" in result.stderr
    assert run("lifecycle-job", "cancel", "j-2").exit_code == Exit.REFUSED


# -- following -----------------------------------------------------------------------------------


def live(api: FakeApi, *states: str) -> None:
    """Let the job go through these states; its log grows with each."""
    lines = [line(number, f"line {number}") for number in range(1, len(states) + 1)]
    api.workspaces.lives = {"j-1": [job("j-1", "pending"), *(job("j-1", s) for s in states)]}
    api.workspaces.logs = {"j-1": [lines[:n] for n in range(len(states) + 1)]}


@pytest.mark.parametrize(
    ("end", "code"),
    [("completed", Exit.OK), ("failed", Exit.FAILED), ("cancelled", Exit.FAILED)],
)
def test_a_switch_is_followed_to_its_end_and_exits_by_it(
    run: Run, api: FakeApi, end: str, code: Exit
) -> None:
    live(api, "running", "running", end)
    result = run("workspace", "start", "dev", "--follow")
    *lines, told = result.stdout.splitlines()
    assert [text.split("  ")[-1].strip() for text in lines] == ["line 1", "line 2", "line 3"]
    assert told.startswith(f"start of dev: {end}")
    assert result.exit_code == code
    assert ("shiftwork workspace explain dev" in result.stderr) is (code != Exit.OK)


def test_a_log_is_followed_too(run: Run, api: FakeApi) -> None:
    live(api, "running", "completed")
    result = run("lifecycle-job", "logs", "last", "-f")
    assert result.stdout.splitlines()[-1] == "start of dev: completed in 42.0 s"


def test_followed_by_a_machine_the_answer_is_the_job_alone(run: Run, api: FakeApi) -> None:
    live(api, "running", "completed")
    result = run("workspace", "start", "dev", "--follow", "-o", "json")
    assert json.loads(result.stdout)["state"] == "completed"
    assert "line 2" in result.stderr


def test_ctrl_c_ends_only_the_following(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    live(api, "running", "completed")
    monkeypatch.setattr("time.sleep", interrupt)
    result = run("workspace", "start", "dev", "--follow")
    assert result.exit_code == Exit.INTERRUPTED
    assert "shiftwork lifecycle-job cancel j-1" in result.stderr


def test_every_line_is_written_once_also_the_last(api: FakeApi) -> None:
    live(api, "running", "completed")
    waits: list[float] = []
    with api.client() as client:
        looks = list(lifecycle_jobs.following(client, "j-1", waits.append))
    assert [[said["id"] for said in lines] for _, lines in looks] == [[], ["l-1"], ["l-2"]]
    assert len(waits) == 2


# -- what holds for all of them ------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["show", "logs", "cancel"])
def test_a_job_that_is_not_there_is_not_found(run: Run, verb: str) -> None:
    result = run("lifecycle-job", verb, "j-99")
    assert result.exit_code == Exit.NOT_FOUND
    assert "shiftwork lifecycle-jobs" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["lifecycle-jobs"],
        ["lifecycle-job", "show", "last"],
        ["lifecycle-job", "logs", "last"],
        ["lifecycle-job", "cancel", "j-3"],
    ],
    ids=" ".join,
)
def test_every_command_can_answer_in_json(run: Run, jobs: None, command: list[str]) -> None:
    answer: Any = json.loads(run(*command, "-o", "json").stdout)
    assert isinstance(answer, dict)
