"""Which job a log line is about, when threads of several jobs, and of several calls, write."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from shiftwork_core.adapters.targets.logged import LoggedTarget
from shiftwork_core.adapters.threads import side_by_side
from shiftwork_core.domain.requests.definitions import JobType, Target
from shiftwork_core.domain.requests.outcomes import Completed, Outcome
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.ports.world import JobInput, JobTarget

WAIT_S = 10.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = Attempt("r1", AttemptKey(1, 0, 1), "send", "mail.send", 1, NOW)
SECOND = replace(FIRST, request_id="r2", key=AttemptKey(2, 7, 3), name="other")
TYPE = JobType("mail.send", 1, Target.PYTHON)


class Log:
    """The log of a process whose calls name themselves as RunJobs does."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self.logger = Logger(service=f"test-logged-{id(self)}", stream=self._text)

    def lines(self) -> dict[str, dict[str, Any]]:
        """Return every line by its message."""
        lines = map(json.loads, self._text.getvalue().splitlines())
        return {line["message"]: line for line in lines}


class Doing(JobTarget):
    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        self._do()
        return Completed({})


@pytest.fixture
def log() -> Log:
    return Log()


def call_of(log: Log, attempt: Attempt, do: Callable[[], None]) -> Callable[[], Outcome]:
    target = LoggedTarget(Doing(do), log.logger.thread_safe_append_keys)
    return lambda: target.run(TYPE, JobInput(attempt, {}, {}, None, Event()))


def start(log: Log, name: str, *calls: Callable[[], Any]) -> Any:
    """Begin a call of the function, with these jobs."""
    log.logger.append_keys(cold_start=False)
    log.logger.thread_safe_append_keys(function_request_id=name)
    ended = side_by_side(dict(enumerate(calls)), lambda: 0.001)
    next(ended)
    return ended


def test_a_line_of_a_thread_that_outlives_its_call_names_its_own_job_and_call(log: Log) -> None:
    may_write = Event()

    def write_late() -> None:
        may_write.wait(WAIT_S)
        log.logger.info("late")

    late = start(log, "call-1", call_of(log, FIRST, write_late))
    for _ in start(log, "call-2", call_of(log, SECOND, lambda: log.logger.info("of another"))):
        pass
    may_write.set()
    for _ in late:
        pass
    lines = log.lines()
    assert lines["late"].items() >= {**FIRST.log_keys, "function_request_id": "call-1"}.items()
    of_another = {**SECOND.log_keys, "function_request_id": "call-2"}
    assert lines["of another"].items() >= of_another.items()


def test_jobs_side_by_side_do_not_mix_their_keys_and_the_batch_has_none(log: Log) -> None:
    first_has_keys, second_has_keys = Event(), Event()

    def first() -> None:
        first_has_keys.set()
        assert second_has_keys.wait(WAIT_S)
        log.logger.info("first")

    def second() -> None:
        assert first_has_keys.wait(WAIT_S)
        second_has_keys.set()
        log.logger.info("second")

    for _ in start(log, "call", call_of(log, FIRST, first), call_of(log, SECOND, second)):
        pass
    log.logger.info("batch")
    lines = log.lines()
    assert lines["first"].items() >= FIRST.log_keys.items()
    assert lines["second"].items() >= SECOND.log_keys.items()
    assert not {"attempt_id", "job", "attempt"} & lines["batch"].keys()
