"""What `shiftwork dev` keeps of jobs' lines, and how a debugger reaches the terminal."""

from __future__ import annotations

import io
import logging
import pdb
import sys

import pytest

from shiftwork.api.errors import Fault
from shiftwork_platform.dev.logs import JobLogs, stop_in_terminal
from shiftwork_platform.dev.terminal import Terminal


def record(attempt_id: str, text: str, at_s: float = 1.0) -> logging.LogRecord:
    keys = {"attempt_id": attempt_id, "job": "send", "line": 1, "created": at_s}
    return logging.makeLogRecord({"msg": text, "levelname": "INFO"} | keys)


@pytest.mark.parametrize(("pattern", "found"), [("r1", ["a", "b"]), ("r1.1.0.1", ["a"]), ("r", [])])
def test_lines_are_found_by_request_and_by_attempt(pattern: str, found: list[str]) -> None:
    logs = JobLogs(Terminal(io.StringIO()))
    for attempt_id, text in (("r1.1.0.1", "a"), ("r1.1.1.1", "b"), ("r11.1.0.1", "c")):
        logs.emit(record(attempt_id, text))
    query = {"filterPattern": f'"{pattern}"', "startTime": 0, "limit": 10}
    events = logs.filter_log_events(**query)["events"]
    assert [event["message"].split('"message": "')[1][0] for event in events] == found


def test_lines_before_the_start_are_left_out() -> None:
    logs = JobLogs(Terminal(io.StringIO()))
    for at_s in (1.0, 2.0):
        logs.emit(record("r1.1.0.1", "a", at_s))
    events = logs.filter_log_events(filterPattern='"r1"', startTime=1500, limit=10)["events"]
    assert [event["timestamp"] for event in events] == [2000]


def test_a_line_that_cannot_be_formatted_fails_no_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", True)
    broken = record("r1.1.0.1", "%s and %s")
    broken.args = ("one",)
    JobLogs(Terminal(io.StringIO())).emit(broken)
    assert "not enough arguments" in capsys.readouterr().err


def test_what_a_job_says_steers_no_terminal_and_looks_like_no_other_line() -> None:
    stream = io.StringIO()
    JobLogs(Terminal(stream)).emit(record("r1.1.0.1", "a\x1b[2Jb\n20:00:00 forged"))
    assert "a\\x1b[2Jb\n    20:00:00 forged\n" in stream.getvalue()


def test_a_terminal_that_is_gone_fails_no_write() -> None:
    class Gone(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError

    Terminal(Gone()).say("a request was written")


def test_a_breakpoint_talks_to_the_terminal_and_not_to_the_job_s_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped: list[object] = []

    class Debugger:
        def __init__(self, stdout: object) -> None:
            self.stdout = stdout

        def set_trace(self, frame: object) -> None:
            stopped.append(self.stdout)

    monkeypatch.setattr(pdb, "Pdb", Debugger)
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    monkeypatch.setattr(sys, "breakpointhook", sys.breakpointhook)
    stop_in_terminal()
    breakpoint()
    assert stopped == [sys.__stdout__]


def test_a_doubt_is_told_once_while_it_stays_and_again_when_it_comes_back() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    doubt = Fault("a.yaml:1: name", "no callback is named 'sya'")
    for doubts in ([doubt], [doubt], [], [doubt]):
        terminal.doubts(doubts)
    assert stream.getvalue().count("no callback is named 'sya'") == 2
