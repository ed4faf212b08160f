"""Lists that are kept up to date until Ctrl-C."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shiftwork.api.client import ShiftworkClient
from shiftwork.cli.exit_codes import Exit
from tests.unit.sdk.conftest import Run
from tests.unit.sdk.fake_api import attempt, failure, request
from tests.unit.sdk.fake_workspaces import job, workspace

ERROR = {"type": "Retry", "message": "busy"}


class Looks:
    """What a list has at each look; after the last somebody presses Ctrl-C."""

    def __init__(self, *looks: list[Any]) -> None:
        self._looks = iter(looks)

    def __call__(self, *_: object, **__: object) -> Any:
        for look in self._looks:
            return iter(look)
        raise KeyboardInterrupt


CASES = [
    (
        ["requests"],
        "list_all",
        [[request("r-1", "Queuing")], [request("r-1", "Completed")]],
        ["r-1  greet  Queuing  step 1", "r-1  greet  Completed  step 1"],
    ),
    (
        ["workspaces"],
        "workspaces",
        [[workspace("dev", "stopped")], [workspace("dev", "running"), workspace("ci")], []],
        ["dev  stopped", "dev  running", "ci  running", "dev  gone", "ci  gone"],
    ),
]


@pytest.mark.parametrize(("command", "call", "looks", "told"), CASES, ids=lambda c: str(c)[:20])
def test_off_a_terminal_every_change_is_a_line(
    command: list[str],
    call: str,
    looks: list[Any],
    told: list[str],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = [one for look in looks for one in (look, look)]
    monkeypatch.setattr(ShiftworkClient, call, Looks(*again))
    result = run(*command, "--watch")
    assert result.exit_code == Exit.INTERRUPTED
    assert result.stdout.splitlines() == told


def test_jobs_of_a_request_are_watched(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [[attempt(0, "new")], [attempt(0, "retry", error=ERROR)]]
    monkeypatch.setattr(ShiftworkClient, "jobs", Looks(*looks))
    monkeypatch.setattr("shiftwork.cli.references.request_id", lambda *_: "r-1")
    told = run("jobs", "r-1", "-w").stdout.splitlines()
    assert len(told) == 2
    assert told[0].endswith("  new")
    assert told[1].endswith("  retry  Retry: busy")


def test_failures_of_a_request_are_watched(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [[], [failure(3)], [failure(3), failure(5)]]
    monkeypatch.setattr(ShiftworkClient, "failures", Looks(*looks))
    monkeypatch.setattr("shiftwork.cli.references.request_id", lambda *_: "r-1")
    told = run("failures", "r-1", "-w").stdout.splitlines()
    assert told == [
        "r-1.1.3.1  greet[3]: KeyError: no. 3 is bad",
        "r-1.1.5.1  greet[5]: KeyError: no. 5 is bad",
    ]


def test_types_are_watched(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(version: int) -> list[Any]:
        return [{"kind": "job-type", "name": "greet", "version": version}]

    looks = [[], look(1), [], look(1), [], look(2)]  # Two kinds a look.
    monkeypatch.setattr(ShiftworkClient, "definitions", Looks(*looks))
    told = run("types", "--watch").stdout.splitlines()
    assert told == ["job-type greet  version 1", "job-type greet  version 2"]


@pytest.mark.parametrize(
    "command", [["types", "greet", "--watch"], ["failures", "r-1", "--csv", "--watch"]]
)
def test_what_is_no_list_is_not_watched(command: list[str], run: Run) -> None:
    result = run(*command)
    assert result.exit_code == Exit.USAGE
    assert "watch" in result.stderr


def test_lifecycle_jobs_are_watched(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [[job("l-1", "pending")], [job("l-1", "completed")]]
    monkeypatch.setattr(ShiftworkClient, "lifecycle_jobs", Looks(*looks))
    told = run("lifecycle-jobs", "--watch").stdout.splitlines()
    assert ["pending" in told[0], "completed" in told[1], len(told)] == [True, True, 2]


def test_a_machine_gets_the_whole_list_whenever_it_has_changed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [[request("r-1", "Queuing")]] * 2 + [[request("r-1", "Failed")]]
    monkeypatch.setattr(ShiftworkClient, "list_all", Looks(*looks))
    lists = run("requests", "-w", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["items"][0]["status"] for line in lists] == ["Queuing", "Failed"]
