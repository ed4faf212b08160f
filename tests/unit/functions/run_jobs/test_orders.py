"""The rows of a file of orders are checked by blocks, and added up."""

from __future__ import annotations

import json
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from shiftwork_core.callbacks import CALLBACKS, Failure, PerBlock
from tests.unit.functions.run_jobs.conftest import job


def order(amount: str, region: str = "north") -> dict[str, str]:
    return {"id": "o1", "region": region, "customer": "c", "amount": amount}


def test_the_folder_registers_its_callbacks(orders: ModuleType) -> None:
    assert {"orders.load", "orders.report"} <= set(CALLBACKS)
    assert isinstance(CALLBACKS["orders.load"], PerBlock)


@pytest.mark.parametrize(
    ("amount", "why"),
    [
        ("n/a", "is no number"),
        ("", "is no number"),
        ("12,50", "is no number"),
        ("NaN", "is out of range"),
        ("-3.00", "is out of range"),
        ("1e99", "is out of range"),
    ],
)
def test_a_bad_order_fails_alone(orders: ModuleType, amount: str, why: str) -> None:
    said = orders.load([job(order("12.34")), job(order(amount)), job(order("0"))])
    assert (said[0], said[2]) == (
        {"region": "north", "cents": 1234},
        {"region": "north", "cents": 0},
    )
    assert isinstance(said[1], Failure)
    assert f"order o1: the amount {amount!r} {why}" in str(said[1])


def test_the_report_adds_up_the_lines_of_all_parts(orders: ModuleType, bucket: Any) -> None:
    lines = [
        {"region": region, "cents": cents} for region, cents in zip("abab", range(4), strict=True)
    ]
    parts = []
    for number, part in enumerate([lines[:3], lines[3:]]):
        body = "".join(json.dumps(line) + "\n" for line in part)
        bucket.put_object(Key=f"part{number}", Body=body.encode())
        parts.append([f"part{number}", len(body)])
    found = orders.report(job(extras={"order": {"parts": parts, "count": 4}}))
    assert found == {
        "report": {
            "orders": 4,
            "cents": 6,
            "regions": {"a": {"orders": 2, "cents": 2}, "b": {"orders": 2, "cents": 4}},
        }
    }


def test_a_report_of_no_orders_is_empty(orders: ModuleType) -> None:
    none = replace(job(), extras={"order": {"parts": [], "count": 0}})
    assert orders.report(none) == {"report": {"orders": 0, "cents": 0, "regions": {}}}
