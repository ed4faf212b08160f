"""Sizes of items and billed units, as DynamoDB computes them."""

import pytest

from benchmarks.units import evaluated_units, item_bytes, read_units, write_units


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "naïve"}, 6),
        ({"N": "0"}, 1),
        ({"N": "7"}, 2),
        ({"N": "-7"}, 3),
        ({"N": "12345"}, 4),
        ({"N": "1000"}, 2),
        ({"B": "AAAA"}, 3),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["ab", "c"]}, 3),
        ({"L": [{"S": "ab"}, {"BOOL": False}]}, 3 + 3 + 2),
        ({"M": {"k": {"S": "ab"}}}, 3 + 1 + 1 + 2),
    ],
)
def test_an_attribute_has_the_size_of_its_name_and_its_value(
    value: dict[str, object], size: int
) -> None:
    assert item_bytes({"n": value}) == 1 + size


def test_a_write_costs_one_unit_for_every_kibibyte_begun() -> None:
    assert [write_units(size) for size in (0, 1, 1024, 1025)] == [1, 1, 1, 2]


def test_a_transaction_costs_twice() -> None:
    assert write_units(1025, is_transaction=True) == 4


def test_a_read_costs_by_four_kibibytes_and_half_if_it_may_be_stale() -> None:
    assert read_units(4097, is_consistent=True) == 2
    assert read_units(4097, is_consistent=False) == 1
    assert read_units(0, is_consistent=False) == 0.5


def test_a_query_is_rounded_once_for_all_its_items() -> None:
    items = [{"n": {"S": "x" * 1023}}] * 8

    assert evaluated_units(items, is_consistent=True) == 2
