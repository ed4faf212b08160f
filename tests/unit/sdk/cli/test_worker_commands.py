"""Test the commands of workers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from typer.testing import Result

from shiftwork.api.shapes import WorkerView
from shiftwork.cli.commands.workers import rows_of
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render.tables import Column, Table
from tests.unit.sdk.fake_api import NOW_S, FakeApi, worker

Run = Callable[..., Result]
BUILD = "0f8c6a1e-6f0b-4e51-9a53-6f3c1c5b7d10.1.0.1"


@pytest.fixture(autouse=True)
def workers(api: FakeApi) -> None:
    found = [
        worker("host-1", "available", BUILD),
        worker("host-2", active=False, drained=True),
        worker("host-3", active=False),
        worker("host-4", "error", error="the GPU is gone"),
        worker("host-5", "offline", active=False, drained=True, polls={"gpu.render#eu": 1}),
        worker("host-6", "stopped", active=False),
    ]
    api.workers = [found]
    api.explanation = {
        "worker_id": "host-1",
        "status": "idle",
        "summary": "Nothing that it polls for can be given to it now.",
        "running": 0,
        "build_limit": 1,
        "queues": [
            {
                "queue": "mail.sent",
                "waiting": 0,
                "is_blocked": True,
                "reason": "there is no job type 'mail.sent'; did you mean 'mail.send'?",
                "next": "shiftwork types",
            }
        ],
        "next": "shiftwork types",
    }


def test_workers_are_listed_with_what_they_do(run: Run) -> None:
    lines = run("workers").stdout.splitlines()
    assert lines[0].split() == ["WORKER", "STATUS", "RUNNING", "SEEN", "TAKES", "ERROR", "BUILDS"]
    cells = [line.split() for line in lines[1:]]
    assert [row[:3] for row in cells] == [
        ["host-1", "available", "1/2"],
        ["host-2", "drained", "0/2"],
        ["host-3", "leaving", "0/2"],
        ["host-4", "error", "0/2"],
        ["host-5", "offline", "0/2"],
        ["host-6", "stopped", "0/2"],
    ]
    assert lines[1].endswith(BUILD)
    assert "the GPU is gone" in lines[4]
    assert "gpu.render#eu, mail.send" in lines[5]


def test_a_hint_says_why_one_gets_nothing(run: Run) -> None:
    assert "shiftwork worker explain host-2" in run("workers").stderr


def test_without_workers_the_list_says_so(run: Run, api: FakeApi) -> None:
    api.workers = [[]]
    assert "There are none" in run("workers").stderr


def test_the_filters_reach_the_api(run: Run, api: FakeApi) -> None:
    run("workers", "--status", "Busy", "--inactive")
    query = api.calls[0].url.params
    assert (query["status"], query["active"]) == ("busy", "false")


def test_the_table_is_drawn_in_colours(api: FakeApi) -> None:
    console = Console(force_terminal=True, width=140, color_system="standard")
    columns = [Column("WORKER"), Column("STATUS")]
    with console.capture() as capture:
        console.print(Table(columns, [row[:2] for row in rows_of(api.workers[0], 0)]))
    assert "\x1b" in capture.get()


def test_a_worker_that_misses_its_check_in_is_silent_and_not_idle(run: Run, api: FakeApi) -> None:
    api.workers = [
        [
            worker("killed", last_seen_at=NOW_S - 77),
            worker("polls-only", last_seen_at=NOW_S - 77, kind="derived"),
            worker("gone", "offline", last_seen_at=NOW_S - 300),
        ]
    ]
    lines = run("workers").stdout.splitlines()
    assert re.match(r"killed +silent +0/2 +silent for 1 m 17 s", lines[1])
    assert re.match(r"polls-only +idle +0/2 +1 m 17 s ago", lines[2])
    assert re.match(r"gone +offline", lines[3])


def test_a_silent_worker_s_own_page_says_for_how_long(run: Run, api: FakeApi) -> None:
    api.workers = [[worker("killed", last_seen_at=NOW_S - 77)]]
    assert re.search(r"status +silent for 1 m 17 s", run("worker", "show", "killed").stdout)


# -- watching ------------------------------------------------------------------------------------


def lives() -> list[list[WorkerView]]:
    return [
        [worker("host-1")],
        [worker("host-1", last_seen_at=NOW_S + 30)],
        [worker("host-1", "available", BUILD), worker("host-2")],
        [worker("host-2")],
    ]


def test_watched_off_a_terminal_every_change_is_a_line(run: Run, api: FakeApi) -> None:
    api.workers = lives()
    result = run("workers", "--watch")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["host-1", "idle", "0/2"],
        ["host-1", "available", "1/2", BUILD],
        ["host-2", "idle", "0/2"],
        ["host-1", "gone"],
    ]
    assert result.exit_code == Exit.INTERRUPTED


def test_watched_by_a_machine_every_change_is_a_list(run: Run, api: FakeApi) -> None:
    seen = lives()
    api.workers = list(seen)
    lists = [
        json.loads(line)["items"] for line in run("workers", "-w", "-o", "json").stdout.splitlines()
    ]
    assert lists == [seen[0], seen[2], seen[3]]


# -- one worker ----------------------------------------------------------------------------------


def test_a_worker_is_shown(run: Run) -> None:
    shown = run("worker", "show", "host-1").stdout
    assert "status" in shown and "available" in shown
    assert "1 of 2" in shown and BUILD in shown


def test_a_worker_is_drained_and_resumed(run: Run, api: FakeApi) -> None:
    result = run("worker", "drain", "host-1")
    assert "host-1 is drained; it runs 1 of 2." in result.stdout
    assert "shiftwork worker resume host-1" in result.stderr
    assert "host-1 is available." in run("worker", "resume", "host-1").stdout
    assert [call.url.path.rpartition("/")[2] for call in api.calls] == ["drain", "resume"]


def test_a_workers_tokens_are_revoked(run: Run, api: FakeApi) -> None:
    result = run("worker", "revoke", "host-1")
    assert "The tokens of host-1 end within a minute." in result.stdout
    assert "shiftwork worker invite host-1" in result.stderr
    assert api.calls[-1].url.path.endswith("/v1/workers/host-1/revoke")


def test_a_worker_is_invited_for_some_types(run: Run, api: FakeApi) -> None:
    result = run("worker", "invite", "host-7", "--type", "mail.send", "--type", "gpu.render")
    assert result.stdout.strip() == "sw1.invited"
    assert "SHIFTWORK_REGISTRATION" in result.stderr
    body = json.loads(api.calls[-1].content)
    assert body == {"hostname": "host-7", "job_types": ["mail.send", "gpu.render"]}


def test_explain_says_why_a_worker_gets_nothing(run: Run) -> None:
    result = run("worker", "explain", "host-1")
    assert "Nothing that it polls for" in result.stdout
    assert "did you mean 'mail.send'?" in result.stdout
    assert "Next: shiftwork types" in result.stderr


def test_a_worker_is_forgotten(run: Run, api: FakeApi) -> None:
    assert "host-2 is forgotten." in run("worker", "forget", "host-2").stdout
    assert api.calls[0].method == "DELETE"


VERBS = ("show", "drain", "resume", "revoke", "explain", "forget")


@pytest.mark.parametrize("verb", VERBS)
def test_a_worker_that_is_not_there_is_not_found(run: Run, verb: str) -> None:
    result = run("worker", verb, "host-9")
    assert result.exit_code == Exit.NOT_FOUND
    assert "shiftwork workers" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["workers"],
        *(["worker", verb, "host-1"] for verb in VERBS),
        ["worker", "invite", "host-7"],
    ],
    ids=" ".join,
)
def test_every_command_can_answer_in_json(run: Run, command: list[str]) -> None:
    answer: Any = json.loads(run(*command, "-o", "json").stdout)
    assert isinstance(answer, dict)
