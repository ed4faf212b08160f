"""Crashes, lost replies and lost messages that a test asks for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shiftwork.testing import Engine
from shiftwork_core.callbacks import Retry
from shiftwork_core.errors import Unavailable
from shiftwork_platform.cloud.functions import FunctionError
from tests.unit.testing.conftest import CUSTOMERS

ONE = CUSTOMERS[:1]


def test_a_process_that_dies_after_a_claim_costs_an_attempt_and_its_lease(engine: Engine) -> None:
    engine.crash_after("claim")
    request = engine.run("send-invoices", customers=ONE)
    assert request.completed
    assert [a.status for a in request.attempts("send")] == ["retry", "completed"]
    assert len(engine.job("invoices.send").calls) == 1
    assert timedelta(minutes=1) <= engine.elapsed < timedelta(minutes=3)


def test_a_job_whose_outcome_is_lost_with_its_process_runs_again(engine: Engine) -> None:
    engine.crash_before("outcome")
    request = engine.run("send-invoices", customers=ONE)
    assert request.completed
    first, second = engine.job("invoices.send").calls
    assert first.job_key == second.job_key
    assert first.fence < second.fence


def test_an_outcome_whose_reply_is_lost_is_recorded_and_the_job_does_not_run_again(
    engine: Engine,
) -> None:
    engine.lose_reply("outcome")
    assert engine.run("send-invoices", customers=ONE).completed
    assert len(engine.job("invoices.send").calls) == 1


@pytest.mark.parametrize("moment", ["plan", "claim", "outcome", "settle"])
def test_what_is_sent_twice_or_throttled_happens_once(engine: Engine, moment: str) -> None:
    engine.send_twice(moment)
    engine.throttle(moment)
    assert engine.run("send-invoices", customers=CUSTOMERS).completed
    assert len(engine.job("invoices.send").calls) == 2


def test_messages_that_are_lost_or_doubled_lose_and_double_nothing(engine: Engine) -> None:
    engine.job("invoices.send").raises(Retry("busy"), times=2)
    engine.lose_messages(1)
    engine.duplicate_messages(2)
    request = engine.run("send-invoices", customers=CUSTOMERS)
    assert request.completed
    assert len(engine.job("invoices.send").calls) == 4


def test_a_submit_whose_process_dies_can_be_sent_again(engine: Engine) -> None:
    engine.crash_after("submit")
    with pytest.raises(FunctionError, match="exited"):
        engine.submit("send-invoices", {"customers": ONE}, idempotency_key="k")
    request = engine.submit("send-invoices", {"customers": ONE}, idempotency_key="k")
    assert request.wait(timedelta(minutes=10)).completed
    assert len(engine.job("invoices.send").calls) == 1


def test_a_submit_without_an_answer_says_so(engine: Engine) -> None:
    engine.lose_reply("submit")
    with pytest.raises(Unavailable):
        engine.submit("send-invoices", {"customers": ONE})


def test_a_moment_that_does_not_exist_is_named_with_the_closest(engine: Engine) -> None:
    with pytest.raises(ValueError, match="did you mean 'claim'"):
        engine.crash_after("clam")
