"""Lists have an order, filters and pages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.adapters.dynamodb import lots
from shiftwork_core.adapters.memory import MemoryTables
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.errors import Invalid
from shiftwork_core.page_tokens import to_token
from shiftwork_core.ports.stores import MOST_LOOKED_AT, Page, Row
from tests.contract.store.conftest import Aws, ModelledAws, memory_stores
from tests.contract.store.rows import (
    ALL_STEPS,
    ATTEMPT_STATUSES,
    FATAL,
    NOW,
    REQUEST_STATUSES,
    SECOND,
    Stores,
    a_request,
    a_step,
    an_attempt,
)


def all_requests(
    stores: Stores, limit: int, status: RequestStatus | None = None, type: str | None = None
) -> list[Request]:
    """Read every page; each but the last is full, and only of a list that filters is it empty."""
    page = stores.requests.find(status, type, limit, None)
    rows = page.items
    while page.next_token is not None:
        assert len(page.items) == limit
        page = stores.requests.find(status, type, limit, page.next_token)
        assert page.items or type is not None
        assert not {r.request_id for r in page.items} & {r.request_id for r in rows}
        rows += page.items
    return rows


def all_attempts(
    stores: Stores, limit: int, steps: range = ALL_STEPS, status: AttemptStatus | None = None
) -> list[Attempt]:
    """Read every page; each but the last is full, and only of a list that filters is it empty."""
    page = stores.jobs.find("r1", steps, status, limit, None)
    rows = page.items
    while page.behind is not None:
        assert len(page.items) == limit
        page = stores.jobs.find("r1", steps, status, limit, page.behind)
        assert page.items or status is not None
        assert not {a.key for a in page.items} & {a.key for a in rows}
        rows += page.items
    return rows


# -- requests ------------------------------------------------------------------------------------


@pytest.fixture
def twelve(stores: Stores) -> list[Request]:
    """Write requests of every status and two types, some of one millisecond; newest first."""
    requests = [
        a_request(
            f"r{number:02d}",
            status=REQUEST_STATUSES[number % 5],
            type=("index", "report")[number % 2],
            created_at=NOW + timedelta(milliseconds=number // 3),
        )
        for number in range(12)
    ]
    for request in requests:
        stores.requests.create(request, None)
    stores.requests.add_step(a_step(1, "r00"))
    return sorted(requests, key=lambda r: (r.created_at, r.request_id), reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 11, 12, 13, 100])
def test_requests_are_listed_newest_first_page_by_page(
    stores: Stores, twelve: list[Request], limit: int
) -> None:
    listed = all_requests(stores, limit)
    assert [r.request_id for r in listed] == [r.request_id for r in twelve]


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("type", [None, "index", "report", "unknown"])
@pytest.mark.parametrize("status", [None, RequestStatus.QUEUING, RequestStatus.FAILED])
def test_requests_are_filtered(
    stores: Stores,
    twelve: list[Request],
    status: RequestStatus | None,
    type: str | None,
    limit: int,
) -> None:
    wanted = [
        r.request_id
        for r in twelve
        if (status is None or r.status is status) and (type is None or r.type == type)
    ]
    assert [r.request_id for r in all_requests(stores, limit, status, type)] == wanted


def test_a_list_has_what_a_summary_shows(stores: Stores) -> None:
    stores.request(
        params=Payload('{"prefix":"docs/"}'),
        extras=Payload("{}"),
        status=RequestStatus.FAILED,
        current_step=2,
        execution=3,
        generation=1,
        start_at=NOW,
        started_at=NOW + SECOND,
        completed_at=NOW + 2 * SECOND,
        error=FATAL,
        correlation_id="order 7",
        priority=3,
    )
    assert stores.requests.find(None, None, 10, None).items == [
        Request(
            request_id="r1",
            type="index-documents",
            type_version=1,
            job_types={},
            params=Payload(),
            extras=Payload(),
            created_at=NOW,
            status=RequestStatus.FAILED,
            current_step=2,
            started_at=NOW + SECOND,
            completed_at=NOW + 2 * SECOND,
            correlation_id="order 7",
            priority=3,
        )
    ]


def test_a_request_is_listed_under_its_current_status(stores: Stores) -> None:
    stores.request()
    stores.requests.start("r1", NOW, NOW)
    assert stores.requests.find(RequestStatus.QUEUING, None, 10, None).items == []
    assert len(stores.requests.find(RequestStatus.INPROGRESS, None, 10, None).items) == 1


def test_requests_that_arrive_while_pages_are_read_move_no_row(
    stores: Stores, twelve: list[Request]
) -> None:
    first = stores.requests.find(None, None, 5, None)
    stores.request("newer", created_at=NOW + SECOND)
    rest = stores.requests.find(None, None, 100, first.next_token)
    assert [r.request_id for r in first.items + rest.items] == [r.request_id for r in twelve]


def token(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "no token",
        "äöü",
        "AAAA",
        token("text"),
        token([1, 2]),
        token({"a": 1}),
        token([]),
        token(["one"]),
        token(["no time", "r1"]),
        token(["2026-01-31T09:00:00.000", "r1"]),
        token(["1", "2", "3"]),
    ],
)
def test_a_token_that_no_list_returned_is_refused(stores: Stores, bad: str) -> None:
    with pytest.raises(Invalid) as refused:
        stores.requests.find(None, None, 10, bad)
    assert [fault.path for fault in refused.value.faults] == ["next_token"]


def test_a_token_of_another_list_is_refused(stores: Stores, twelve: list[Request]) -> None:
    with pytest.raises(Invalid):
        stores.requests.find(None, None, 1, to_token([str(AttemptKey(1, 0, 1))]))


# -- attempts ------------------------------------------------------------------------------------


@pytest.fixture
def eighteen(stores: Stores) -> list[Attempt]:
    """Write attempts of every status in three steps; in key order."""
    attempts = [
        an_attempt(
            AttemptKey(step, job, number),
            status=ATTEMPT_STATUSES[(step + 3 * job + number) % 6],
        )
        for step in (1, 2, 10)
        for job in (0, 1, 10)
        for number in (1, 2)
    ]
    stores.jobs.insert(attempts[::-1])
    stores.jobs.insert([an_attempt(AttemptKey(1, 5, 1), "r2")])
    return attempts


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 17, 18, 100])
@pytest.mark.parametrize("status", [None, AttemptStatus.NEW, AttemptStatus.RETRY])
@pytest.mark.parametrize(
    "steps", [ALL_STEPS, range(1, 2), range(2, 3), range(3, 4), range(10, 11)], ids=str
)
def test_attempts_are_listed_in_order_page_by_page(
    stores: Stores,
    eighteen: list[Attempt],
    steps: range,
    status: AttemptStatus | None,
    limit: int,
) -> None:
    wanted = [a for a in eighteen if a.key.step in steps and (status is None or a.status is status)]
    assert all_attempts(stores, limit, steps, status) == wanted


def test_a_page_may_begin_before_or_after_the_step_it_is_filtered_by(
    stores: Stores, eighteen: list[Attempt]
) -> None:
    in_step_2 = stores.jobs.find("r1", ALL_STEPS, None, 8, None).behind
    assert in_step_2 == AttemptKey(2, 0, 2)
    of_10 = stores.jobs.find("r1", range(10, 11), None, 100, in_step_2)
    assert [a.key.step for a in of_10.items] == [10] * 6
    assert stores.jobs.find("r1", range(1, 2), None, 100, in_step_2).items == []


@pytest.mark.parametrize("attempt", [0, 1, 2, 3, 9_999])
@pytest.mark.parametrize("job", [0, 1, 7, 10, 11])
def test_a_page_begins_behind_a_key_whether_there_is_such_an_attempt_or_not(
    stores: Stores, eighteen: list[Attempt], job: int, attempt: int
) -> None:
    behind = AttemptKey(2, job, attempt)
    wanted = [a.key for a in eighteen if a.key > behind]
    page = stores.jobs.find("r1", ALL_STEPS, None, 3, behind)
    assert [a.key for a in page.items] == wanted[:3]
    assert page.behind == (wanted[2] if len(wanted) > 3 else None)


@pytest.mark.parametrize("behind", [AttemptKey(1, 4, 9_999), AttemptKey(1, 9, 1)], ids=str)
def test_a_page_that_begins_behind_the_last_of_a_lot_goes_on_in_the_next(
    stores: Stores, lots_of_five: None, behind: AttemptKey
) -> None:
    stores.jobs.insert([an_attempt(AttemptKey(1, job, 1)) for job in range(12)])
    page = stores.jobs.find("r1", range(1, 2), None, 100, behind)
    assert [a.key.job for a in page.items] == list(range(behind.job + 1, 12))


def test_pages_are_full_though_filtered_rows_lie_between(stores: Stores) -> None:
    # Rows of 8 KiB, so that DynamoDB's own pages of 1 MiB end between the wanted ones.
    large = Payload(json.dumps("x" * 8_000))
    attempts = [
        an_attempt(
            AttemptKey(1, job, 1),
            status=AttemptStatus.NEW if job % 60 == 0 else AttemptStatus.COMPLETED,
            item=large,
        )
        for job in range(300)
    ]
    stores.jobs.insert(attempts)
    assert len(list(stores.jobs.of_step("r1", 1))) == 300
    page = stores.jobs.find("r1", range(1, 2), AttemptStatus.NEW, 4, None)
    assert [a.key.job for a in page.items] == [0, 60, 120, 180]
    page = stores.jobs.find("r1", range(1, 2), AttemptStatus.NEW, 4, page.behind)
    assert [a.key.job for a in page.items] == [240]
    assert page.behind is None


# -- one row of ten thousand -----------------------------------------------------------------------

MANY = 10_000


@dataclass
class Counting:
    """A client that counts the rows that each call reads."""

    client: Any
    rows: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def call(**given: Any) -> Any:
            answer = method(**given)
            self.rows.append(len(answer.get("Items", ())))
            return answer

        return call


@pytest.fixture(params=["memory", "quotas"])
def counting(request: pytest.FixtureRequest, modelled: ModelledAws) -> tuple[Stores, Counting]:
    """Return stores and what counts the rows that they read; in memory it counts none."""
    client = Counting(modelled.dynamodb)
    if request.param == "memory":
        return memory_stores(MemoryTables()), client
    return modelled.stores(client, sleep=lambda seconds: None), client


def pages_to(wanted: Callable[[str | None], Page[Row]], client: Counting) -> Iterator[Page[Row]]:
    """Yield the pages of a list; each reads a bounded number of rows."""
    token = None
    while True:
        client.rows.clear()
        page = wanted(token)
        # Each partition that is merged is read a page ahead.
        assert sum(client.rows) <= 6 * MOST_LOOKED_AT
        yield page
        if page.next_token is None:
            return
        token = page.next_token


def test_a_list_of_requests_finds_one_type_of_ten_thousand_in_bounded_pages(
    counting: tuple[Stores, Counting],
) -> None:
    stores, client = counting
    for number in range(MANY):
        created_at = NOW + timedelta(seconds=MANY - number)
        status = REQUEST_STATUSES[number % 5]
        type = "rare" if number == MANY - 1_234 else "common"
        stores.request(f"r{number}", created_at=created_at, status=status, type=type)

    def page_after(token: str | None) -> Page[Request]:
        return stores.requests.find(None, "rare", 50, token)

    pages = list(pages_to(page_after, client))
    assert [len(page.items) for page in pages if page.items] == [1]
    assert len(pages) == MANY // MOST_LOOKED_AT
    assert pages[(MANY - 1_234) // MOST_LOOKED_AT].items[0].request_id == f"r{MANY - 1_234}"


def test_a_list_of_jobs_finds_one_status_of_ten_thousand_in_bounded_pages(
    counting: tuple[Stores, Counting],
) -> None:
    stores, client = counting
    stores.jobs.insert(
        [
            an_attempt(
                AttemptKey(1, job, 1),
                status=AttemptStatus.FAILURE if job == 8_765 else AttemptStatus.COMPLETED,
            )
            for job in range(MANY)
        ]
    )

    def page_after(token: str | None) -> Page[Attempt]:
        after = None if token is None else AttemptKey.parse(token)
        found = stores.jobs.find("r1", ALL_STEPS, AttemptStatus.FAILURE, 50, after)
        return Page(found.items, None if found.behind is None else str(found.behind))

    pages = list(pages_to(page_after, client))
    assert [a.key.job for page in pages for a in page.items] == [8_765]
    assert len(pages) == MANY // MOST_LOOKED_AT


def test_a_list_of_requests_of_one_type_reads_few_rows_where_most_match(
    counting: tuple[Stores, Counting],
) -> None:
    stores, client = counting
    for number in range(1_000):
        stores.request(f"r{number}", created_at=NOW + number * SECOND)
    client.rows.clear()
    page = stores.requests.find(RequestStatus.QUEUING, "index-documents", 10, None)
    assert len(page.items) == 10
    assert sum(client.rows) <= 8 * (MOST_LOOKED_AT // 8 + 1)


@pytest.fixture
def lots_of_five(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a partition have room for five jobs of a step."""
    monkeypatch.setattr(lots, "JOBS_A_LOT", 5)


@pytest.mark.usefixtures("lots_of_five")
@pytest.mark.parametrize("width", [4, 5, 6, 10, 11])
def test_a_wide_step_is_read_to_its_end_whatever_partitions_its_jobs_lie_in(
    stores: Stores, width: int
) -> None:
    """Also where the last job of a partition was retried, and a page ends there."""
    first = [an_attempt(AttemptKey(1, job, 1)) for job in range(width)]
    retries = [an_attempt(AttemptKey(1, job, 2)) for job in (0, 4, 9) if job < width]
    stores.jobs.insert(first)
    stores.jobs.insert(retries)
    stores.jobs.insert([an_attempt(AttemptKey(2, 0, 1))])
    expected = sorted([*first, *retries], key=lambda attempt: attempt.key)
    assert list(stores.jobs.of_step("r1", 1)) == expected
    for limit in range(1, width + 5):
        assert all_attempts(stores, limit, range(1, 2)) == expected
        assert [a for a in all_attempts(stores, limit) if a.key.step == 1] == expected


@pytest.mark.usefixtures("lots_of_five")
def test_a_step_whose_planner_died_between_two_partitions_is_read_as_far_as_it_is_there(
    stores: Stores,
) -> None:
    attempts = [an_attempt(AttemptKey(1, job, 1)) for job in range(6)]
    stores.jobs.insert(attempts[:5])
    assert list(stores.jobs.of_step("r1", 1)) == attempts[:5]
    assert stores.jobs.insert(attempts) == 5
    assert list(stores.jobs.of_step("r1", 1)) == attempts


def test_the_jobs_of_a_wide_step_lie_in_partitions_of_five_hundred(aws: Aws) -> None:
    jobs = (0, 499, 500, 9_999)
    aws.stores().jobs.insert([an_attempt(AttemptKey(1, job, 1)) for job in jobs])
    found = [aws.attempt_item(AttemptKey(1, job, 1))["lot"]["S"] for job in jobs]
    assert found == ["r1#0001#0000", "r1#0001#0000", "r1#0001#0001", "r1#0001#0019"]
