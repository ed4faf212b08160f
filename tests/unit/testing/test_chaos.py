"""A request under the faults of many seeds, with an invariant of its author."""

from __future__ import annotations

from collections import Counter

import pytest

from shiftwork.testing import ChaosFound, Engine, RequestSeen
from shiftwork_core.callbacks import Job, Retry
from shiftwork_core.errors import Invalid
from tests.unit.testing.conftest import CUSTOMERS

PARAMS = {"customers": CUSTOMERS}


def is_told(request: RequestSeen) -> None:
    """Whoever was sent an invoice is in the report."""
    assert request.failed or request.extras["report"] == "2 of 2 sent"


def test_what_holds_under_every_seed_is_found_to_hold(engine: Engine) -> None:
    engine.job("invoices.send").on(item="c2").raises(Retry("busy"), times=1)
    assert engine.chaos("send-invoices", PARAMS, seeds=25, invariant=is_told) == 25


def test_polled_jobs_and_blocks_too(engine: Engine) -> None:
    engine.job("render").on(item="c2").raises(Retry("busy"), times=1).returns({"done": 1})
    assert engine.chaos("film", PARAMS, seeds=range(40, 55)) == 15
    assert engine.chaos("send-block", PARAMS, seeds=15) == 15


def test_an_effect_that_a_death_doubles_is_found_with_the_seed_and_the_fault(
    engine: Engine,
) -> None:
    sent: Counter[str] = Counter()

    def send(job: Job) -> None:
        sent[job.job_key] += 1

    def once(request: RequestSeen) -> None:
        assert max(sent.values(), default=0) <= 1, "a customer has two invoices"

    engine.job("invoices.send").does(send)
    with pytest.raises(ChaosFound) as found:
        engine.chaos("send-invoices", PARAMS, seeds=100, invariant=once, before=sent.clear)
    said = str(found.value)
    assert "violates: your invariant\na customer has two invoices" in said
    assert "with these faults: " in said
    assert "run it again with seeds=[" in said
    assert "events:" in said


def test_while_no_process_dies_a_job_runs_once_for_each_attempt(engine: Engine) -> None:
    sent: Counter[tuple[str, int]] = Counter()

    def send(job: Job) -> None:
        sent[job.attempt_id, job.fence] += 1

    def once(request: RequestSeen) -> None:
        assert request.completed
        assert max(sent.values()) == 1

    engine.job("invoices.send").does(send)
    engine.chaos(
        "send-invoices", PARAMS, seeds=25, invariant=once, before=sent.clear, processes_die=False
    )


def test_a_request_that_is_refused_is_no_finding(engine: Engine) -> None:
    with pytest.raises(Invalid, match="nothing"):
        engine.chaos("nothing", seeds=1)
