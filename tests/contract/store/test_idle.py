"""Sweeps and polls that find nothing read nothing, however much is not due."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.workers.workers import Worker, WorkerKind
from shiftwork_core.services.sweep import Sweep
from shiftwork_platform import wiring
from tests.contract.store.conftest import ModelledAws
from tests.contract.store.rows import NOW, SECOND, Stores, an_attempt

LATER = NOW + timedelta(hours=1)
QUEUE = "documents.list"
MANY = 500


@dataclass
class Reading:
    """A client that counts calls, by index or else by name, and the rows that they answer."""

    client: Any
    calls: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def call(**given: Any) -> Any:
            answer = method(**given)
            self.calls[given.get("IndexName", name)] += 1
            self.rows += answer.get("Count", 0)
            return answer

        return call


def idle_minute(modelled: ModelledAws) -> Reading:
    """Run every sweep once, and poll a queue; return what was read."""
    client = Reading(modelled.dynamodb)
    stores = modelled.stores(client, sleep=lambda seconds: None)
    services = wiring.Services(
        wiring.Ports(
            requests=stores.requests,
            jobs=stores.jobs,
            workers=stores.workers,
            clock=lambda: NOW,
        )
    )
    for sweep in Sweep:
        assert services.sweeper.sweep(sweep) == 0
    view = stores.jobs.queued(QUEUE, NOW, 10)
    assert (view.waiting, view.lapsed) == ([], [])
    return client


def fill(stores: Stores) -> None:
    """Write much of which nothing is due."""
    for number in range(MANY):
        stores.request(f"q{number}", due_at=LATER)
        stores.request(f"i{number}", status=RequestStatus.INPROGRESS, due_at=LATER)
        stores.request(f"e{number}", status=RequestStatus.COMPLETED, due_at=None)
        worker = Worker(f"w{number}", "w", WorkerKind.REGISTERED, NOW, NOW, watch_at=LATER)
        stores.workers.save(worker)
    key = AttemptKey(1, 0, 1)
    stores.jobs.insert(
        [
            *(an_attempt(replace(key, job=n), "r1", wake_at=LATER) for n in range(MANY)),
            *(
                an_attempt(replace(key, job=n), "r2", is_polled=True, wake_at=LATER)
                for n in range(MANY)
            ),
            *(an_attempt(replace(key, job=n), "r3", is_polled=True, type="b") for n in range(MANY)),
            *(
                an_attempt(replace(key, job=n), "r4", is_polled=True, status=AttemptStatus.FAILURE)
                for n in range(MANY)
            ),
        ]
    )
    for number in range(50):
        held = stores.claimed(replace(key, job=number), request_id="r5", is_polled=True)
        stores.jobs.renew(held, LATER)


@pytest.fixture
def filled(modelled: ModelledAws) -> tuple[Reading, ModelledAws]:
    """Return what an idle minute reads of empty tables, and the tables once they are full."""
    empty = idle_minute(modelled)
    fill(modelled.stores(sleep=lambda seconds: None))
    return empty, modelled


def test_no_read_of_an_idle_minute_grows_with_what_is_not_due(
    filled: tuple[Reading, ModelledAws],
) -> None:
    empty, modelled = filled
    full = idle_minute(modelled)
    assert (full.rows, empty.rows) == (0, 0)
    assert full.calls == empty.calls
    assert [full.calls[index] for index in ("by_due", "by_wake", "by_liveness")] == [16, 8, 8]
    assert full.calls.keys() == {"by_due", "by_wake", "by_liveness", "by_queue"}


def test_what_is_due_is_read_all_the_same(filled: tuple[Reading, ModelledAws]) -> None:
    _, modelled = filled
    stores = modelled.stores(sleep=lambda seconds: None)
    assert len(list(stores.workers.watched(LATER + SECOND))) == MANY
    assert len(list(stores.jobs.attempts_to_wake(LATER + SECOND))) == MANY
