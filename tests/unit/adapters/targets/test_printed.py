"""What callbacks print: lines of their job's log, also where jobs run side by side."""

from __future__ import annotations

import logging
import sys
import threading
from contextvars import copy_context
from typing import Any

import pytest

from shiftwork_core.adapters.targets.printed import MAX_LINE, MAX_LINES, printed_to

WAIT_S = 10.0
Real = pytest.CaptureFixture[str]


class Log(logging.LoggerAdapter[logging.Logger]):
    """Keeps the keys of its lines."""

    def process(self, msg: Any, kwargs: Any) -> Any:
        return msg, kwargs


class Lines(logging.Handler):
    """Keeps what is logged; each job has a logger of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def log(self, job: str = "send") -> logging.LoggerAdapter[logging.Logger]:
        logger = logging.Logger(job, logging.INFO)
        logger.addHandler(self)
        return Log(logger, {})

    def of(self, job: str = "send") -> list[str]:
        return [record.getMessage() for record in self.records if record.name == job]


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_each_printed_line_is_a_line_of_the_log_and_names_its_stream(
    lines: Lines, capsys: Real
) -> None:
    with printed_to(lines.log()):
        print("one\ntwo")
        print("100% sure", file=sys.stderr)
    assert lines.of() == ["one", "two", "100% sure"]
    assert [vars(record)["stream"] for record in lines.records] == ["stdout", "stdout", "stderr"]
    assert capsys.readouterr() == ("", "")


def test_a_line_that_has_not_ended_is_logged_with_its_job_s_end(lines: Lines, capsys: Real) -> None:
    with printed_to(lines.log()):
        print("half", end="")
        assert lines.of() == []
        print(" a line", end="")
    assert lines.of() == ["half a line"]


def test_jobs_side_by_side_each_keep_their_own_lines(lines: Lines, capsys: Real) -> None:
    both = threading.Barrier(2, timeout=WAIT_S)

    def do(job: str) -> None:
        with printed_to(lines.log(job)):
            for number in range(20):
                both.wait()
                print(f"{job} ", end="")
                both.wait()
                print(number)

    threads = [
        threading.Thread(target=copy_context().run, args=(do, job)) for job in ("send", "post")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    for job in ("send", "post"):
        assert lines.of(job) == [f"{job} {number}" for number in range(20)]


def test_a_thread_without_the_job_s_context_prints_to_the_real_stream(
    lines: Lines, capsys: Real
) -> None:
    with printed_to(lines.log()):
        own = threading.Thread(target=print, args=("of nobody",))
        copied = threading.Thread(target=copy_context().run, args=(print, "of the job"))
        for thread in (own, copied):
            thread.start()
            thread.join(WAIT_S)
    print("after it")
    assert lines.of() == ["of the job"]
    assert capsys.readouterr().out == "of nobody\nafter it\n"


def test_a_long_line_comes_in_pieces(lines: Lines, capsys: Real) -> None:
    with printed_to(lines.log()):
        print("x" * (2 * MAX_LINE + 1))
    assert list(map(len, lines.of())) == [MAX_LINE, MAX_LINE, 1]


def test_a_job_that_prints_too_much_goes_on_in_the_function_s_log_alone(
    lines: Lines, capsys: Real
) -> None:
    with printed_to(lines.log()):
        for number in range(MAX_LINES + 2):
            print(number)
    assert lines.of()[:MAX_LINES] == list(map(str, range(MAX_LINES)))
    [said] = lines.of()[MAX_LINES:]
    assert "it has printed 1,000 lines" in said
    assert capsys.readouterr().out == f"{MAX_LINES}\n{MAX_LINES + 1}\n"


def test_a_bar_of_progress_is_its_last_state(lines: Lines, capsys: Real) -> None:
    with printed_to(lines.log()):
        print("\r10 %\r60 %\r100 %")
    assert lines.of() == ["100 %"]


def test_a_log_that_writes_to_the_stream_does_not_catch_itself(lines: Lines, capsys: Real) -> None:
    log = lines.log()
    with printed_to(log):
        log.logger.addHandler(logging.StreamHandler(sys.stdout))
        print("once")
    assert lines.of() == ["once"]
    assert capsys.readouterr().out == "once\n"


def test_where_nobody_wants_the_lines_they_go_to_the_real_stream(
    lines: Lines, capsys: Real
) -> None:
    log = lines.log()
    log.setLevel(logging.ERROR)
    with printed_to(log):
        print("hello")
    assert (lines.of(), capsys.readouterr().out) == ([], "hello\n")


def test_the_stream_still_has_what_the_real_one_has(lines: Lines, capsys: Real) -> None:
    with printed_to(lines.log()):
        sys.stdout.writelines(["a\n", "b\n"])
        assert sys.stdout.encoding.lower() == "utf-8"
    assert lines.of() == ["a", "b"]
