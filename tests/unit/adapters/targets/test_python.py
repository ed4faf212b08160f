"""Target python: whatever a callback does is an outcome that can be stored."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from shiftwork_core.adapters.targets.python import PythonTarget
from shiftwork_core.callbacks import BROKEN_MODULES, CALLBACKS, Failure, Job, Retry
from shiftwork_core.domain.requests.definitions import JobType, Target
from shiftwork_core.domain.requests.outcomes import Completed, Failed, Outcome, Retryable
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.ports.world import JobInput

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ATTEMPT = Attempt("r1", AttemptKey(1, 0, 1), "send", "mail.send", 1, NOW)
HALF_A_PAIR = "half a pair \udc80"


class MuteFailure(Failure):
    """Cannot say what is wrong."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


class MuteError(Exception):
    """Cannot say what is wrong."""

    def __str__(self) -> str:
        raise RecursionError


@pytest.fixture(autouse=True)
def registered(unlogged: None) -> Iterator[None]:
    before = dict(CALLBACKS)
    yield
    CALLBACKS.clear()
    CALLBACKS.update(before)


def outcome_of(callback: Callable[[Job], Any]) -> Outcome:
    """Return the outcome of a job that a function does."""
    CALLBACKS["mail.send"] = callback
    job = JobInput(ATTEMPT, {}, {}, None, threading.Event())
    outcome = PythonTarget().run(JobType("mail.send", 1, Target.PYTHON), job)
    if not isinstance(outcome, Completed):
        # As a row keeps it.
        assert json.loads(json.dumps(asdict(outcome.error), ensure_ascii=False).encode())
    return outcome


def raising(error: BaseException) -> Callable[[Job], Any]:
    def callback(job: Job) -> Any:
        raise error

    return callback


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        ValueError(HALF_A_PAIR),
        ValueError("x" * 1_000_000),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        BaseException("base"),
        MuteError(),
        type("N" * 1_000, (Exception,), {})("a name that is too long"),
    ],
    ids=lambda error: ascii(type(error).__name__),
)
def test_whatever_is_raised_is_recoverable(error: BaseException) -> None:
    assert isinstance(outcome_of(raising(error)), Retryable)


@pytest.mark.parametrize(
    "error", [Failure("no"), Failure(HALF_A_PAIR), Failure("x" * 1_000_000), MuteFailure()]
)
def test_a_failure_is_final_whatever_it_says(error: Failure) -> None:
    assert isinstance(outcome_of(raising(error)), Failed)


@pytest.mark.parametrize("delay", [5, float("nan"), float("inf"), -1, "soon", 10**400])
def test_a_retry_is_recoverable_whatever_delay_it_asks_for(delay: Any) -> None:
    outcome = outcome_of(raising(Retry(HALF_A_PAIR, delay)))
    assert isinstance(outcome, Retryable)
    assert outcome.delay_s is None or 0 <= outcome.delay_s < 10**9


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    "result",
    [nested(985), nested(100_000), {"a": HALF_A_PAIR}, {"a": {1}}, {1: "a"}, [], "text", 7],
)
def test_a_result_that_cannot_be_kept_is_a_failure(result: Any) -> None:
    outcome = outcome_of(lambda job: result)
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "InvalidResult"


def test_a_result_is_the_output() -> None:
    assert outcome_of(lambda job: {"pages": 3}) == Completed({"pages": 3})
    assert outcome_of(lambda job: None) == Completed({})


def lines_of(stop: threading.Event, write: Callable[[Job], Any]) -> list[dict[str, Any]]:
    """Return the keys of the lines that a callback writes in its own logger."""
    lines: list[dict[str, Any]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(vars(record))  # type: ignore[method-assign]
    logger = logging.getLogger("shiftwork.callbacks")
    logger.addHandler(handler)
    logging.disable(logging.NOTSET)
    CALLBACKS["mail.send"] = write
    try:
        job = JobInput(ATTEMPT, {}, {}, None, stop)
        PythonTarget().run(JobType("mail.send", 1, Target.PYTHON), job)
    finally:
        logger.removeHandler(handler)
    return lines


def test_a_line_of_the_jobs_logger_has_the_jobs_keys_in_whichever_thread() -> None:
    def write(job: Job) -> None:
        thread = threading.Thread(target=job.logger.warning, args=["from a thread of its own"])
        thread.start()
        thread.join()

    [line] = lines_of(threading.Event(), write)
    assert line.items() >= ATTEMPT.log_keys.items()
    assert "is_stopping" not in line


def test_a_line_that_comes_after_the_job_was_told_to_stop_says_so() -> None:
    stop = threading.Event()

    def write(job: Job) -> None:
        job.logger.warning("in time")
        stop.set()
        job.logger.warning("late")
        raise ValueError("late as well")

    in_time, *late = lines_of(stop, write)
    assert "is_stopping" not in in_time
    assert [line["is_stopping"] for line in late] == [True, True]


def test_a_line_keeps_the_keys_that_its_callback_gives_it_but_for_those_of_the_job() -> None:
    def write(job: Job) -> None:
        job.logger.warning("page", extra={"page": 3, "attempt_id": "another"})

    [line] = lines_of(threading.Event(), write)
    assert (line["page"], line["attempt_id"]) == (3, ATTEMPT.attempt_id)


def test_a_job_whose_callback_may_be_in_a_broken_module_says_so(monkeypatch: Any) -> None:
    monkeypatch.setitem(BROKEN_MODULES, "callbacks.orders", "ModuleNotFoundError: No module 'x'")
    job = JobInput(ATTEMPT, {}, {}, None, threading.Event())
    outcome = PythonTarget().run(JobType("mail.send", 1, Target.PYTHON), job)
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "CallbackNotImported"
    assert "callbacks.orders: ModuleNotFoundError: No module 'x'" in outcome.error.message
    assert "retry the request" in outcome.error.message
