"""An update is refused that would lose open requests, or misread rows."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from shiftwork.api.client import ShiftworkClient
from shiftwork.local import LocalStackError
from shiftwork.local.schema import check_schema
from tests.unit.sdk.transports import FakeTransport

TEMPLATE = {"Outputs": {"Schema": {"Value": "2"}, "Rows": {"Value": "4"}}}


def connected(**ids: list[str]) -> tuple[ShiftworkClient, list[str]]:
    """Return a client of an API that has requests of some statuses, and what it is asked for."""
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        status = request.url.params["status"]
        asked.append(status)
        items = [{"request_id": request_id} for request_id in ids.get(status, [])]
        return httpx2.Response(200, json={"items": items, "next_token": None})

    client = ShiftworkClient("https://a.example", "t", transport=FakeTransport(answer))
    return client, asked


def never() -> ShiftworkClient:
    raise AssertionError("nothing is asked")


def test_an_update_that_keeps_the_tables_asks_for_nothing() -> None:
    lines: list[str] = []
    check_schema({"Schema": "2"}, TEMPLATE, never, lines.append)
    assert lines == []


@pytest.mark.parametrize("outputs", [{}, {"Schema": "1"}, {"Schema": "3"}])
@pytest.mark.parametrize("status", ["Queuing", "Inprogress"])
def test_an_update_to_new_tables_is_refused_while_a_request_is_open(
    outputs: dict[str, str], status: str
) -> None:
    client, _ = connected(**{status: ["r1"]})
    with pytest.raises(LocalStackError, match="requests are open: r1") as refused:
        check_schema(outputs, TEMPLATE, lambda: client, never_reports)
    assert "shiftwork requests --status Inprogress" in refused.value.next_step


def never_reports(line: str) -> None:
    raise AssertionError(line)


def test_the_refusal_names_three_of_many() -> None:
    client, _ = connected(Queuing=[f"r{n}" for n in range(5)])
    with pytest.raises(LocalStackError, match=r"r0, r1, r2, \.\.\."):
        check_schema({}, TEMPLATE, lambda: client, never_reports)


def test_an_update_to_new_tables_says_what_to_do_afterwards() -> None:
    client, asked = connected(Completed=["r1"])
    lines: list[Any] = []
    check_schema({}, TEMPLATE, lambda: client, lines.append)
    assert asked == ["Queuing", "Inprogress"]
    [line] = lines
    assert "schema 2" in line and "schema 1" in line and "definitions" in line


@pytest.mark.parametrize("outputs", [{}, {"Rows": "3"}, {"Rows": "4"}])
def test_an_update_reads_the_rows_of_its_own_release_and_of_earlier_ones(
    outputs: dict[str, str],
) -> None:
    check_schema({"Schema": "2", **outputs}, TEMPLATE, never, never_reports)


def test_a_downgrade_that_would_misread_rows_is_refused() -> None:
    with pytest.raises(LocalStackError, match=r"format 5.* up to format 4") as refused:
        check_schema({"Schema": "2", "Rows": "5"}, TEMPLATE, never, never_reports)
    assert "pip install -U" in refused.value.next_step
