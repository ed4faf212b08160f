"""Tests of tests: what authors write with the fixture `engine`, on definitions of our own."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from shiftwork.definition_files import Definition
from shiftwork.testing import Engine, NoStub, StillRunning
from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.errors import Invalid
from shiftwork_platform.testing.stubs import fits
from tests.unit.testing.conftest import CUSTOMERS


def test_a_busy_server_is_tried_again_and_virtual_time_is_its_back_off(engine: Engine) -> None:
    engine.job("invoices.send").on(item="c2").raises(Retry("busy"), times=2)
    request = engine.run("send-invoices", customers=CUSTOMERS)
    assert request.completed
    assert request.extras["report"] == "2 of 2 sent"
    statuses = [attempt.status for attempt in request.attempts("send", item="c2")]
    assert statuses == ["retry", "retry", "completed"]
    assert engine.elapsed == request.duration == timedelta(seconds=6)


def test_hours_of_back_off_take_no_time(engine: Engine) -> None:
    engine.job("invoices.send").raises(Retry("closed", delay_s=7200), times=3)
    began = time.monotonic()
    request = engine.run("send-invoices", customers=CUSTOMERS[:1])
    assert request.completed
    assert engine.elapsed == timedelta(hours=6)
    assert time.monotonic() - began < 3600


def test_the_rule_that_was_given_last_counts_and_the_callback_does_what_none_says(
    engine: Engine,
) -> None:
    job = engine.job("invoices.send")
    job.on(where=lambda job: job.item["id"] == "c2").returns({"c2": "first"})
    job.on(item={"id": "c2"}).returns({"c2": "last"}, times=1)
    request = engine.run("send-invoices", customers=[*CUSTOMERS, {"id": "c2"}])
    assert request.extras["c1"] == "sent"
    assert [a.output for a in request.attempts("send")][1:] == [{"c2": "last"}, {"c2": "first"}]
    assert [one.item["id"] for one in job.calls] == ["c1", "c2", "c2"]


def test_a_failure_ends_the_request_and_a_retry_runs_what_has_failed(engine: Engine) -> None:
    engine.job("invoices.send").on(item="c1", attempt=1).raises(Failure("no address"))
    request = engine.run("send-invoices", customers=CUSTOMERS)
    assert request.failed
    assert request.error is not None
    assert "no address" in request.error.message
    request.retry()
    assert request.wait(timedelta(minutes=1)).completed


def test_a_job_that_hangs_is_tried_again_when_its_time_is_over(engine: Engine) -> None:
    engine.job("invoices.send").hangs(times=1)
    request = engine.run("send-invoices", customers=CUSTOMERS[:1])
    [first, second] = request.attempts("send")
    assert first.error is not None
    assert (first.error.type, second.status) == ("Timeout", "completed")
    assert timedelta(seconds=60) <= engine.elapsed < timedelta(seconds=120)


def test_sleeping_in_a_callback_takes_virtual_time(engine: Engine) -> None:
    def slow(job: Job) -> None:
        time.sleep(40)

    engine.job("invoices.report").does(slow)
    assert engine.run("send-invoices", customers=[]).completed
    assert engine.elapsed == timedelta(seconds=40)


def test_jobs_take_as_long_as_a_test_says_side_by_side(engine: Engine) -> None:
    engine.job("invoices.send").takes(seconds=30).returns({})
    assert engine.run("send-invoices", customers=CUSTOMERS).completed
    assert engine.elapsed == timedelta(seconds=30)


def test_jobs_of_a_block_are_single_jobs(engine: Engine) -> None:
    engine.job("invoices.send").on(item="c2").raises(Retry("busy"), times=1)
    request = engine.run("send-block", customers=CUSTOMERS)
    assert request.completed
    assert [a.status for a in request.attempts(item="c2")] == ["retry", "completed"]
    assert [a.status for a in request.attempts(item="c1")] == ["completed"]


def test_what_is_done_elsewhere_must_be_said(engine: Engine) -> None:
    with pytest.raises(NoStub, match=r'target: http.*engine\.job\("crm\.create"\)\.returns'):
        engine.run("onboard")


def test_what_a_service_answers_is_what_the_test_says(engine: Engine) -> None:
    engine.job("crm.create").returns({"id": 7})
    assert engine.run("onboard").extras == {"id": 7}


def test_a_callback_that_is_missing_must_be_said() -> None:
    from tests.unit.testing.conftest import DEFINITIONS

    engine = Engine(DEFINITIONS, lambda name: None)
    with pytest.raises(NoStub, match=r"no callback is named 'invoices\.send'"):
        engine.run("send-invoices", customers=CUSTOMERS)


def test_a_worker_does_polled_jobs(engine: Engine) -> None:
    job = engine.job("render").on(item="c2").raises(Retry("busy"), times=1)
    job.on(item="c1").returns({"done": 1})
    job.on(item="c2", attempt=2).takes(minutes=2).returns({"done": 2})
    request = engine.run("film", customers=CUSTOMERS)
    assert request.completed
    assert [a.status for a in request.attempts(item="c2")] == ["retry", "completed"]
    assert {a.worker_id for a in request.attempts()} == {"test-worker"}
    assert timedelta(seconds=122) <= engine.elapsed < timedelta(seconds=124)


def test_a_worker_that_goes_silent_is_given_up_when_its_lease_is_over(engine: Engine) -> None:
    job = engine.job("render").returns({})
    job.goes_silent(times=1)
    request = engine.run("film", customers=CUSTOMERS[:1])
    [first, second] = request.attempts()
    assert first.error is not None
    assert (first.status, second.status) == ("retry", "completed")
    assert timedelta(seconds=30) <= engine.elapsed < timedelta(minutes=3)


def test_time_passes_only_when_a_test_lets_it(engine: Engine) -> None:
    request = engine.submit(
        "send-invoices", {"customers": []}, start_at=engine.now + timedelta(hours=3)
    )
    engine.advance(hours=2, minutes=59)
    assert request.status == "Queuing"
    engine.advance(minutes=1)
    assert request.completed


def test_a_cancelled_request_starts_nothing(engine: Engine) -> None:
    engine.job("invoices.send").raises(Retry("busy", delay_s=60))
    request = engine.submit("send-invoices", {"customers": CUSTOMERS})
    engine.advance(seconds=1)
    request.cancel()
    engine.advance(minutes=5)
    assert request.cancelled
    assert len(engine.job("invoices.send").calls) == 2


def test_an_idempotency_key_makes_one_request(engine: Engine) -> None:
    first, second = (
        engine.submit("send-invoices", {"customers": []}, idempotency_key="k") for _ in range(2)
    )
    assert first.request_id == second.request_id


def test_what_the_api_would_refuse_is_refused(engine: Engine) -> None:
    with pytest.raises(Invalid, match="send-invoice"):
        engine.run("send-invoice")


def test_params_that_do_not_fit_are_named_in_the_error() -> None:
    schema = {"required": ["who"], "properties": {"who": {"type": "string"}}}
    steps = [{"name": "one", "jobs": [{"name": "greet", "type": "greet"}]}]
    definitions = [
        Definition("job-type", "greet", {"target": "python"}, ""),
        Definition("request-type", "hello", {"params": schema, "steps": steps}, ""),
    ]
    with pytest.raises(Invalid) as refused:
        Engine(definitions).run("hello", whoo="Ada")
    notes = "; ".join(refused.value.__notes__)
    assert "params: 'who' is a required property" in notes
    assert "did you mean who?" in notes


def test_a_request_that_does_not_end_shows_its_history(engine: Engine) -> None:
    engine.job("invoices.send").raises(Retry("busy", delay_s=86_400 * 2))
    with pytest.raises(StillRunning, match=r"(?s)not ended after 1 day.*send\[0\] attempt 1 retry"):
        engine.run("send-invoices", customers=CUSTOMERS[:1])


def test_a_history_says_what_became_of_each_attempt(engine: Engine) -> None:
    engine.job("invoices.send").on(item="c2").raises(Retry("busy"), times=1)
    engine.run("send-invoices", customers=CUSTOMERS)
    lines = engine.history().splitlines()
    assert lines[0].endswith("(send-invoices): Completed")
    assert lines[2:] == [
        "      0.0 s  send: send[0] attempt 1 completed",
        "      0.0 s  send: send[1] attempt 1 retry (Retry: busy)",
        "      2.0 s  send: send[1] attempt 2 completed",
        "      2.0 s  report: report attempt 1 completed",
    ]


@pytest.mark.parametrize(
    ("value", "wanted", "does_fit"),
    [
        ("c2", "c2", True),
        ({"id": "c2", "more": 1}, "c2", True),
        ({"name": "c2"}, "c2", False),
        ({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1}}, True),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        ({}, {"a": None}, False),
        (None, None, True),
        ([1], 1, False),
    ],
)
def test_an_item_fits_what_a_test_names(value: object, wanted: object, does_fit: bool) -> None:
    assert fits(value, wanted) is does_fit
