"""Tests of the invoices: each runs a request in virtual time, without a server."""

from datetime import timedelta

from shiftwork.testing import Engine
from shiftwork_core.callbacks import Retry

CUSTOMERS = [{"id": "c1", "email": "ada@example.com"}, {"id": "c2", "email": "bob@example.com"}]


def test_every_customer_gets_an_invoice(engine: Engine) -> None:
    request = engine.run("send-invoices", customers=CUSTOMERS)
    assert request.completed
    assert request.extras["report"] == "2 of 2 sent"


def test_a_busy_server_is_tried_again(engine: Engine) -> None:
    engine.job("invoices.send").on(item="c2").raises(Retry("busy"), times=2)
    request = engine.run("send-invoices", customers=CUSTOMERS)
    assert [a.status for a in request.attempts("send", item="c2")] == [
        "retry",
        "retry",
        "completed",
    ]
    assert engine.elapsed == timedelta(seconds=6)


def test_a_customer_without_an_address_fails_the_request(engine: Engine) -> None:
    request = engine.run("send-invoices", customers=[{"id": "c3"}])
    assert request.failed
    assert request.error is not None
    assert "no address" in request.error.message
