"""Test that no text of a job can steer the terminal, and that JSON keeps it as it is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import httpx2
import pytest
from rich.console import Console
from typer.testing import Result

from shiftwork.api.shapes import AttemptError, Request, RequestError
from shiftwork.cli.render.controls import one_line, visible
from shiftwork.cli.render.progress import TreeView, changes
from shiftwork.cli.render.tables import Column, Table
from shiftwork.cli.snapshots import Snapshot
from tests.unit.sdk.fake_api import FakeApi, attempt, problem, request, step, worker

Run = Callable[..., Result]

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
#: It would clear the screen, turn the rest red, ring, and begin a line that nobody wrote.
BAD = "a\x1b[2J\x9b31m\x07\rb\nstep 2/2"
SHOWN = r"a\x1b[2J\x9b31m\x07\x0db"
ERROR: AttemptError = {"type": "Bad", "message": BAD}


@pytest.fixture(autouse=True)
def world(api: FakeApi) -> None:
    api.lives = {"r-1": [failed()]}
    api.attempts = [attempt(0, "failure", item={"id": BAD}, error=ERROR)]
    api.logs = [{"timestamp": "t", "message": BAD}]
    api.workers = [[worker("w-1", "error", error=BAD)]] * 2


def failed() -> Request:
    error: RequestError = {**ERROR, "step": 1, "job": "greet[0]", "attempt_id": "r-1.1.0.1"}
    steps = [step(1, "greet", "failed", failure=1)]
    return request("r-1", "Failed", steps=steps, error=error, params={"x": BAD})


def test_every_control_character_is_written_out() -> None:
    kept = [c for c in CONTROLS if visible(c) == c]
    assert kept == ["\t", "\n"]
    assert visible("\x1b[1m\x7f\x85") == r"\x1b[1m\x7f\x85"
    assert visible("a\r\nb é ✓ 日本") == "a\nb é ✓ 日本"
    assert all(one_line(c).isprintable() for c in CONTROLS)
    assert one_line("a\n\tb") == r"a\n\tb"


def test_text_is_not_shown_backwards() -> None:
    assert visible("a\u202eb\u2066c") == r"a\u202eb\u2066c"


def test_a_cell_holds_no_control_character() -> None:
    table = Table([Column("NAME")], [(f"x{c}y",) for c in CONTROLS])
    assert all(line.plain.isprintable() for line in table.lines(60))
    assert all(line.isprintable() for line in table.plain_lines())


@pytest.mark.parametrize(
    "command",
    [
        ("jobs", "r-1"),
        ("show", "r-1"),
        ("job", "show", "r-1.1.0.1"),
        ("job", "logs", "r-1.1.0.1"),
        ("workers",),
        ("worker", "show", "w-1"),
        ("watch", "r-1"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("is_terminal", [False, True])
def test_every_answer_shows_them_and_obeys_none(
    command: tuple[str, ...], is_terminal: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "dumb")
    result = run(*command)
    assert SHOWN in result.stdout
    assert "\x1b[2J" not in result.output
    assert not {"\x9b", "\x07", "\r"} & {*result.output}


def test_json_keeps_them(run: Run) -> None:
    [found] = json.loads(run("jobs", "r-1", "-o", "json").stdout)["items"]
    assert found["error"]["message"] == BAD


def test_an_error_of_the_api_shows_them(run: Run, api: FakeApi) -> None:
    refusal: httpx2.Response = problem(409, "no \x1b[2J")
    api.interruptions = [refusal]
    assert run("cancel", "r-1").stderr.startswith("Error: no \\x1b[2J\n")


def test_the_tree_and_the_plain_lines_have_no_line_of_a_jobs_own() -> None:
    snapshot = Snapshot(failed(), {1: [attempt(0, "failure", item={"id": BAD}, error=ERROR)]})
    console = Console(file=io.StringIO(), width=200)
    console.print(TreeView(snapshot))
    assert isinstance(console.file, io.StringIO)
    for lines in (console.file.getvalue().splitlines(), changes(None, snapshot)):
        assert lines
        assert all(line.isprintable() for line in lines)
        assert not any(line.lstrip().startswith("step 2/2") for line in lines)
        assert any(SHOWN + r"\nstep 2/2" in line for line in lines)
