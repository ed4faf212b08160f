"""Where an attempt stands in its queue."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shiftwork_core.adapters.dynamodb.queue_items import LATER, held_values, queue_values
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
WAITING = Attempt("r1", AttemptKey(1, 0, 1), "send", "mail.send", 3, NOW, is_polled=True)


def test_a_held_attempt_is_hidden_until_its_lease_is_over() -> None:
    until = NOW + timedelta(minutes=1)
    held = replace(WAITING, status=AttemptStatus.INPROGRESS, lease_until=until)
    assert queue_values(held) == held_values("mail.send", until)
    assert queue_values(held)["queue"] == f"{LATER}mail.send"
    assert queue_values(WAITING)["queue"] == "ready#mail.send"
