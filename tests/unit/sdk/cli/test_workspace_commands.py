"""Test the commands of workspaces."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console
from typer.testing import Result

from shiftwork.cli.commands.workspaces import COLUMNS, rows_of
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render.tables import Table
from tests.unit.sdk.fake_api import FakeApi, problem
from tests.unit.sdk.fake_workspaces import (
    DEFINITION,
    NOW,
    ZONE,
    iso,
    pending,
    workspace,
)

Run = Callable[..., Result]
BERLIN = ZoneInfo(ZONE)
OVERRIDE = {
    "desired": "off",
    "since": "2026-11-24T19:00:00.000Z",
    "until": "2026-11-30T07:00:00.000Z",
    "reason": "no budget",
}


@pytest.fixture(autouse=True)
def workspaces(api: FakeApi) -> None:
    api.workspaces.put(
        workspace("dev", detail="2 run", pending=pending("stop", "2026-11-26T19:00:00.000Z")),
        workspace(
            "gpu",
            "stopped",
            changed_at="2026-11-24T19:00:00.000Z",
            override=OVERRIDE,
            pending=pending("start", "2026-11-30T07:00:00.000Z"),
        ),
        workspace(
            "reports-db",
            "stopped",
            changed_at="2026-11-26T10:50:00.000Z",
            failures=3,
            error="AccessDenied: not authorized to perform rds:StartDBInstance on db-reports",
            blocked_until="2026-11-26T11:33:00.000Z",
            pending=pending("start", "2026-11-26T11:33:00.000Z"),
        ),
    )
    api.workspaces.explanation = {
        "workspace_id": "dev",
        "state": "running",
        "summary": "It is running since 2026-11-26T07:00:12.000Z, started by schedule.",
        "next": [
            {
                "operation": "stop",
                "at": "2026-11-26T19:00:00.000Z",
                "cause": "schedule",
                "reason": "a window ends",
            }
        ],
        "blocked_by": ["fix what its error says, then POST /v1/workspaces/dev/start, or wait"],
        "left_out": [{"at": "2026-11-27T07:00:00.000Z", "reason": "a holiday"}],
        "latest_jobs": [
            {
                "id": "j-9",
                "operation": "stop",
                "state": "failed",
                "deadline": "2026-11-25T19:00:00.000Z",
                "reason": "a window ends",
                "error": "refused",
            }
        ],
    }


# -- the list ------------------------------------------------------------------------------------


def test_workspaces_are_listed_with_what_is_next(run: Run) -> None:
    result = run("workspaces")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "SINCE", "NEXT", "DRIVER", "NOTE"]
    cells = [[cell.strip() for cell in text.split("  ") if cell.strip()] for text in lines[1:]]
    assert cells == [
        ["dev", "running", "4h", "stop 20:00, in 7h", "ec2", "-"],
        ["gpu", "stopped", "1d", "start Mon 08:00, in 3d", "ec2", cells[1][-1]],
        ["reports-db", "stopped", "23m", "start 12:33, in 20m", "ec2", cells[2][-1]],
    ]
    assert cells[1][-1] == "kept off until Mon 08:00 (no budget)"
    assert cells[2][-1].startswith("3 failed, waits until 12:33, AccessDenied: not authorized")
    assert "shiftwork workspace explain reports-db" in result.stderr


def test_a_due_start_is_now_and_an_override_that_has_ended_is_not_noted(
    run: Run, api: FakeApi
) -> None:
    over = OVERRIDE | {"until": "2026-11-26T11:13:00.000Z"}
    due = pending("start", "2026-11-26T11:13:00.000Z")
    api.workspaces.rows = {}
    api.workspaces.put(
        workspace(
            "dev",
            "stopped",
            pending=due | pending("stop", "2026-11-26T19:00:00.000Z"),
            override=over,
            blocked_until="2026-11-26T11:13:00.000Z",
        ),
        workspace("new", "unknown", changed_at=None),
    )
    lines = run("workspaces").stdout.splitlines()
    assert lines[1].split() == ["dev", "stopped", "4h", "start", "now", "ec2", "-"]
    assert lines[2].split() == ["new", "unknown", "-", "-", "ec2", "-"]


def test_an_override_that_is_still_to_come_says_from_when(run: Run, api: FakeApi) -> None:
    to_come = OVERRIDE | {"since": "2026-11-28T07:00:00.000Z", "reason": ""}
    api.workspaces.put(workspace("dev", override=to_come))
    assert "kept off from Sat 08:00 until Mon 08:00\n" in run("workspaces").stdout


def test_without_workspaces_the_list_says_how_to_have_one(run: Run, api: FakeApi) -> None:
    api.workspaces.rows = {}
    assert "shiftwork apply" in run("workspaces").stderr


def test_the_list_fits_a_terminal_of_80_columns(api: FakeApi) -> None:
    api.workspaces.put(workspace("a-workspace-of-a-very-long-name", "stopping"))
    rows = rows_of(api.workspaces.items(), BERLIN, NOW)
    console = Console(
        file=io.StringIO(), force_terminal=True, color_system="standard", width=80, highlight=False
    )
    with console.capture() as capture:
        console.print(Table(COLUMNS, rows))
    assert "\x1b[33mstopping" in capture.get()
    plain = Console(file=io.StringIO(), width=80, no_color=True)
    with plain.capture() as capture:
        plain.print(Table(COLUMNS, rows))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("stop 20:00, in 7h" in text for text in lines)
    assert any(text.startswith("a-workspace-of-a-very-long-name  ") for text in lines)


# -- one workspace -------------------------------------------------------------------------------


def test_a_workspace_is_shown_in_local_time(run: Run) -> None:
    shown = run("workspace", "show", "gpu").stdout
    assert "since       Tue 24 Nov 20:00, 1 d 16 h ago" in shown
    assert "next start  Mon 30 Nov 08:00, in 3 d 19 h" in shown
    assert "override    kept off: no budget" in shown
    assert '"instance_ids": ["i-1", "i-2"]' in shown
    assert "CRON_TZ=Europe/Berlin 0 8 * * 1-5" in shown


def test_every_field_of_a_definition_is_shown(run: Run, api: FakeApi) -> None:
    definition = {
        "driver": {"type": "request"},
        "schedule": {"ttl_s": 3600},
        "hosts": {"job_types": ["gpu.render"]},
    }
    api.workspaces.put(workspace("dev", definition=definition))
    shown = run("workspace", "show", "dev").stdout
    assert '{"ttl_s": 3600}' in shown
    assert '{"job_types": ["gpu.render"]}' in shown
    assert "window" not in shown


def test_a_workspace_is_explained(run: Run) -> None:
    result = run("workspace", "explain", "dev")
    assert "It is running since Thu 26 Nov 08:00, started by schedule." in result.stdout
    assert "stop  Thu 26 Nov 20:00, in 7 h 47 m  a window ends" in result.stdout
    assert "- fix what its error says, then shiftwork workspace start dev, or" in result.stdout
    assert "Fri 27 Nov 08:00  a holiday" in result.stdout
    assert "Wed 25 Nov 20:00  stop  failed  refused" in result.stdout
    assert "shiftwork lifecycle-job logs j-9" in result.stderr


def test_an_explanation_of_little_is_short(run: Run, api: FakeApi) -> None:
    api.workspaces.explanation |= {"next": [], "blocked_by": [], "left_out": [], "latest_jobs": []}
    result = run("workspace", "explain", "dev")
    assert len(result.stdout.splitlines()) == 4
    assert "shiftwork plan dev" in result.stderr


@pytest.mark.parametrize("operation", ["start", "stop"])
def test_a_dry_run_says_what_would_be_called_and_changes_nothing(
    run: Run, api: FakeApi, operation: str
) -> None:
    result = run("workspace", operation, "dev", "--dry-run")
    assert result.stdout.splitlines() == [
        f"dev is running (2 run). A {operation} would call:",
        "  ec2:StartInstances i-1, i-2",
    ]
    assert api.workspaces.lives == {}


def test_a_dry_run_of_nothing_says_so(run: Run, api: FakeApi) -> None:
    api.workspaces.calls = []
    assert "  nothing" in run("workspace", "start", "dev", "--dry-run").stdout


def test_a_dry_run_cannot_be_followed(run: Run, api: FakeApi) -> None:
    assert run("workspace", "start", "dev", "--dry-run", "--follow").exit_code == Exit.USAGE
    assert api.calls == []


@pytest.mark.parametrize("operation", ["start", "stop"])
def test_a_switch_names_its_job_and_how_to_follow_it(run: Run, operation: str) -> None:
    result = run("workspace", operation, "dev")
    assert result.stdout == f"The {operation} of dev is lifecycle job j-1, pending.\n"
    assert "shiftwork lifecycle-job logs j-1 --follow" in result.stderr


def test_activity_moves_the_deadline(run: Run, api: FakeApi) -> None:
    assert "without a deadline" in run("workspace", "active", "dev").stdout
    api.workspaces.put(workspace("dev", deadline=iso(NOW + timedelta(minutes=5))))
    shown = run("workspace", "active", "dev").stdout
    assert shown == "dev is running; its time is up Thu 26 Nov 13:13, in 1 h 00 m.\n"


def test_a_deadline_is_set_in_words(run: Run, api: FakeApi) -> None:
    shown = run("workspace", "deadline", "dev", "22:00").stdout
    assert "dev stops Thu 26 Nov 22:00, in 9 h 47 m" in shown
    assert api.bodies("PUT") == [{"deadline": "2026-11-26T21:00:00+00:00"}]


def test_a_deadline_that_is_refused_says_what_to_do(run: Run) -> None:
    result = run("workspace", "deadline", "gpu", "+2h")
    assert result.exit_code == Exit.REFUSED
    assert result.stderr.endswith("Start it first: shiftwork workspace start gpu\n")
    result = run("workspace", "deadline", "dev", "+5m")
    assert "To stop it now: shiftwork workspace stop dev" in result.stderr


def test_a_workspace_is_forgotten(run: Run, api: FakeApi) -> None:
    assert "stays as it is" in run("workspace", "delete", "gpu").stdout
    assert "gpu" not in api.workspaces.rows


# -- overrides -----------------------------------------------------------------------------------


def test_an_override_says_until_when_it_holds(run: Run, api: FakeApi) -> None:
    result = run("override", "dev", "on", "--until", "week", "--reason", "a demo")
    assert result.stdout == "dev is kept on until Mon 30 Nov 00:00, in 3 d 11 h.\n"
    assert "shiftwork override dev clear" in result.stderr
    assert api.bodies("PUT") == [
        {"desired": "on", "until": "2026-11-29T23:00:00+00:00", "reason": "a demo"}
    ]


def test_an_override_may_begin_later(run: Run, api: FakeApi) -> None:
    options = ["--from", "tomorrow 18:00", "--until", "+3d"]
    result = run("override", "dev", "off", *options)
    assert "dev is kept off from Fri 27 Nov 18:00 until Sun 29 Nov 12:13" in result.stdout
    assert api.bodies("PUT")[0]["since"] == "2026-11-27T17:00:00+00:00"


def test_an_override_is_ended(run: Run, api: FakeApi) -> None:
    assert "its schedule decides" in run("override", "gpu", "clear").stdout
    assert api.workspaces.rows["gpu"]["override"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("on",), "22:00, +2h"),
        (("off", "--until", "3 weeks"), "22:00, +2h"),
        (("on", "--until", "22:00", "--from", "noon"), "--from"),
        (("clear", "--until", "22:00"), "on and off only"),
        (("maybe",), "maybe"),
    ],
    ids=str,
)
def test_a_wrong_override_is_a_usage_error_with_examples(
    run: Run, api: FakeApi, arguments: tuple[str, ...], message: str
) -> None:
    result = run("override", "dev", *arguments)
    assert result.exit_code == Exit.USAGE
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert api.calls == []


def test_an_override_in_the_past_is_refused_with_its_fault(run: Run) -> None:
    result = run("override", "dev", "on", "--until", "2020-01-01")
    assert result.exit_code == Exit.REFUSED
    assert "until: lies before 2026-11-26T11:13:00.000Z" in result.stderr


# -- what holds for all of them ------------------------------------------------------------------

COMMANDS = [
    ["workspaces"],
    ["workspace", "show", "dev"],
    ["workspace", "explain", "dev"],
    ["workspace", "start", "dev"],
    ["workspace", "stop", "dev", "--dry-run"],
    ["workspace", "active", "dev"],
    ["workspace", "deadline", "dev", "+2h"],
    ["workspace", "delete", "dev"],
    ["plan", "dev"],
    ["override", "dev", "on", "--until", "+2h"],
    ["override", "dev", "clear"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_can_answer_in_json(run: Run, command: list[str]) -> None:
    result = run(*command, "-o", "json")
    answer: Any = json.loads(result.stdout)
    assert isinstance(answer, dict)
    assert result.exit_code == Exit.OK


@pytest.mark.parametrize("command", COMMANDS[1:], ids=" ".join)
def test_a_workspace_that_is_not_there_is_not_found(run: Run, command: list[str]) -> None:
    result = run(*["nowhere" if word == "dev" else word for word in command])
    assert result.exit_code == Exit.NOT_FOUND
    assert result.stderr.endswith("List what there is: shiftwork workspaces\n")


@pytest.mark.parametrize(
    ("advice", "command"),
    [
        ("GET /v1/workspaces", "shiftwork workspaces"),
        ("GET /v1/workspaces/dev", "shiftwork workspace show dev"),
        ("GET /v1/workspaces/dev/plan", "shiftwork plan dev"),
        ("GET /v1/workspaces/dev/explain", "shiftwork workspace explain dev"),
        ("POST /v1/workspaces/dev/stop, or wait", "shiftwork workspace stop dev, or wait"),
        ("POST /v1/workspaces/dev/activity", "shiftwork workspace active dev"),
        ("PUT /v1/workspaces/dev/deadline", "shiftwork workspace deadline dev TIME"),
        ("PUT /v1/workspaces/dev/override", "shiftwork override dev on --until TIME"),
        ("DELETE /v1/workspaces/dev/override", "shiftwork override dev clear"),
        ("DELETE /v1/workspaces/dev", "shiftwork workspace delete dev"),
        ("GET /v1/lifecycle-jobs", "shiftwork lifecycle-jobs"),
        ("GET /v1/lifecycle-jobs/j-1", "shiftwork lifecycle-job show j-1"),
        ("GET /v1/lifecycle-jobs/j-1/logs", "shiftwork lifecycle-job logs j-1"),
        ("POST /v1/lifecycle-jobs/j-1/cancel", "shiftwork lifecycle-job cancel j-1"),
    ],
)
def test_the_advice_of_the_api_becomes_commands(
    run: Run, api: FakeApi, advice: str, command: str
) -> None:
    api.interruptions = [problem(409, "no", f"try: {advice}")]
    assert run("workspace", "show", "dev").stderr == f"Error: no\nTry: {command}\n"


def test_a_definition_is_what_was_put(run: Run, api: FakeApi) -> None:
    assert json.loads(run("workspace", "show", "dev", "-o", "json").stdout)["definition"] == (
        DEFINITION
    )
