"""A step's tally sums what was added, over shards, and shares no row with anything that decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.ports.shards import SHARDS
from shiftwork_core.ports.stores import Recorded
from shiftwork_core.services.requests.requests import Requests
from shiftwork_platform import wiring
from tests.contract.store.conftest import Aws, ModelledAws
from tests.contract.store.interfering import Interfering
from tests.contract.store.rows import (
    LEASE,
    NOW,
    OUTPUT,
    RETENTION,
    Stores,
    a_step,
    an_attempt,
)

KEYS = [AttemptKey(1, job, 1) for job in range(40)]


def test_a_tally_is_the_sum_of_what_was_added_to_its_step(stores: Stores) -> None:
    assert stores.requests.tally("r1", 1) == {}
    for key in KEYS:
        stores.requests.add_tally("r1", key, {"completed": 2, "retry": 1}, NOW)
    stores.requests.add_tally("r1", KEYS[0], {"failure": 1}, NOW)
    stores.requests.add_tally("r1", AttemptKey(2, 0, 1), {"completed": 1}, NOW)
    stores.requests.add_tally("r2", KEYS[0], {"completed": 9}, NOW)
    assert stores.requests.tally("r1", 1) == {"completed": 80, "retry": 40, "failure": 1}
    assert stores.requests.tally("r1", 2) == {"completed": 1}


def test_a_tally_says_nothing_of_batches_that_live(stores: Stores) -> None:
    stores.requests.add_tally("r1", KEYS[0], {"completed": 1}, NOW)
    assert stores.requests.alive_until("r1") is None
    stores.requests.note_alive("r1", NOW + LEASE)
    assert stores.requests.tally("r1", 1) == {"completed": 1}


def test_a_tally_is_spread_over_partitions_and_expires(aws: Aws) -> None:
    for key in KEYS:
        aws.stores().requests.add_tally("r1", key, {"completed": 1}, NOW)
    rows = aws.items(aws.batches_table)
    assert len({row["request_id"]["S"] for row in rows}) == len(SHARDS)
    expiries = {int(row["expires_at"]["N"]) for row in rows}
    assert expiries == {int((NOW + 2 * RETENTION).timestamp())}


def test_a_tally_is_written_and_read_in_one_call_each(aws: Aws) -> None:
    client = Interfering(aws.dynamodb)
    aws.stores(client).requests.add_tally("r1", KEYS[0], {"completed": 1}, NOW)
    aws.stores(client).requests.tally("r1", 1)
    assert client.calls == {"update_item": 1, "batch_get_item": 1}


# -- what it spares ------------------------------------------------------------------------------


class Reading(Interfering):
    """A client that counts the calls of a read, and the rows that it is given."""

    def __getattr__(self, name: str) -> Any:
        call = super().__getattr__(name)

        def counted(**given: Any) -> Any:
            answer = call(**given)
            self.calls["rows"] += len(answer.get("Items", ()))
            return answer

        return counted


def reads(aws: ModelledAws, job_count: int, look: Callable[[Requests], object]) -> dict[str, int]:
    """Return what it reads to look at a request of which a step of so many jobs runs."""
    aws.clear()
    stores = aws.stores()
    stores.request(status=RequestStatus.INPROGRESS, current_step=1, job_types={"work": 1})
    body = {"steps": [{"name": "list", "jobs": [{"name": "j", "type": "work"}]}]}
    stores.definitions.put(Definition(Kind.REQUEST_TYPE, "index-documents", 1, body, "2026"))
    rows = [an_attempt(AttemptKey(1, job, 1), is_wide=True) for job in range(job_count)]
    stores.jobs.insert(rows)
    stores.requests.add_step(a_step(job_count=job_count))
    for attempt in rows[: job_count // 2]:
        stores.claim("r1", attempt.key)
        held = replace(attempt, fence=1)
        assert stores.jobs.complete(held, OUTPUT, NOW) is Recorded.WON
        stores.requests.add_tally("r1", attempt.key, {"completed": 1}, NOW)
    client = Reading(aws.dynamodb)
    asked = aws.stores(client)
    ports = wiring.Ports(
        requests=asked.requests,
        jobs=asked.jobs,
        definitions=asked.definitions,
        new_id=str,
        clock=lambda: NOW,
    )
    look(wiring.Services(ports).requests)
    return dict(client.calls)


def test_a_request_with_a_wide_running_step_costs_the_same_to_show_however_wide_it_is(
    modelled: ModelledAws,
) -> None:
    def show(requests: Requests) -> None:
        details = requests.details(requests.get("r1"))
        step = details.steps[0]
        assert step.counts["completed"] == step.counts["new"] == step.job_count / 2

    few = reads(modelled, 600, show)
    assert few == {"get_item": 2, "query": 1, "batch_get_item": 1, "rows": 1}
    assert reads(modelled, 2_000, show) == few


def test_a_request_with_a_wide_running_step_is_explained_from_a_bounded_number_of_rows(
    modelled: ModelledAws,
) -> None:
    def explain(requests: Requests) -> None:
        explanation = requests.explain("r1")
        assert explanation.counts["completed"] == explanation.counts["new"]
        assert len(explanation.blockers) == 20

    # Two lots have the first twenty jobs that are open, whatever comes behind them.
    assert reads(modelled, 1_200, explain)["rows"] == 1_000
    assert reads(modelled, 1_900, explain)["rows"] == 1_000
