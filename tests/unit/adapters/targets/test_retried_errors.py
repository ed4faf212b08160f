"""Which errors of callbacks are retried, and where they say that they come from."""

from __future__ import annotations

import bdb
import builtins
import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from shiftwork_core.adapters.targets.python import PythonTarget
from shiftwork_core.callbacks import Job, PerBlock
from shiftwork_core.domain.requests.backoff import PROGRAM_ERRORS
from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.outcomes import Failed, Outcome, Retryable
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.ports.world import JobInput

ATTEMPT = Attempt(
    "r1", AttemptKey(1, 0, 1), "send", "mail.send", 1, datetime(2026, 1, 1, tzinfo=UTC)
)
JOB = JobInput(ATTEMPT, {}, {}, None, threading.Event())


class BusyError(ConnectionError):
    """A server is busy."""


def outcome_of(error: BaseException, **retry: Any) -> Outcome:
    """Return the outcome of a job whose callback raises."""

    def callback(job: Job) -> None:
        raise error

    job_type = JobType.from_body("mail.send", 1, {"target": "python", "retry": retry})
    return PythonTarget({"mail.send": callback}.get).run(job_type, JOB)


ERRORS = {**vars(builtins), "BdbQuit": bdb.BdbQuit}


@pytest.mark.parametrize("name", sorted(PROGRAM_ERRORS))
def test_errors_of_the_program_fail_at_once(name: str) -> None:
    assert isinstance(outcome_of(ERRORS[name]("bug")), Failed)


@pytest.mark.parametrize(
    ("error", "retry", "is_retried"),
    [
        (KeyError("id"), {}, True),
        (UnboundLocalError("x"), {}, False),
        (ModuleNotFoundError("x"), {}, False),
        (BusyError(), {"not_on": ["BusyError"]}, False),
        (BusyError(), {"not_on": ["OSError"]}, False),
        (BusyError(), {"not_on": ["KeyError"]}, True),
        (BusyError(), {"on": ["OSError"]}, True),
        (BusyError(), {"on": ["builtins.ConnectionError"]}, True),
        (BusyError(), {"on": [f"{__name__}.BusyError"], "not_on": ["OSError"]}, True),
        (BusyError(), {"on": ["OSError"], "not_on": ["ConnectionError"]}, False),
        (KeyError("id"), {"on": ["OSError"]}, False),
        (TypeError("bug"), {"on": ["TypeError"]}, True),
        (TypeError("bug"), {"not_on": ["KeyError"]}, False),
    ],
)
def test_the_policy_says_which_errors_are_retried(
    error: BaseException, retry: dict[str, Any], is_retried: bool
) -> None:
    assert isinstance(outcome_of(error, **retry), Retryable if is_retried else Failed)


def test_an_error_names_the_line_of_the_authors_code_that_it_comes_from() -> None:
    def callback(job: Job) -> Any:
        return json.loads("{")

    job_type = JobType.from_body("mail.send", 1, {"target": "python"})
    outcome = PythonTarget({"mail.send": callback}.get).run(job_type, JOB)
    assert isinstance(outcome, Retryable)
    line = callback.__code__.co_firstlineno + 1
    assert outcome.error.type == "JSONDecodeError"
    assert outcome.error.message.endswith(f"(at targets/test_retried_errors.py:{line})")


def test_jobs_of_a_block_fail_and_are_retried_by_the_same_rules() -> None:
    block = PerBlock(lambda jobs: [KeyError("id"), TypeError("bug")])
    job_type = JobType.from_body("mail.send", 1, {"target": "python"})
    do = PythonTarget({"mail.send": block}.get).at_once(job_type)
    assert do is not None
    first, second = do([JOB, JOB])
    assert isinstance(first, Retryable)
    assert isinstance(second, Failed)
