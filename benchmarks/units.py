"""DynamoDB's arithmetic: the size of an item, and the units that a call on demand is billed.

Source: Amazon DynamoDB Developer Guide, "DynamoDB read and write operations" and "DynamoDB item
sizes and formats"; that a failed condition costs its write, and a transaction twice, is in
benchmarks/prices.json's source as well.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

Item = dict[str, Any]

_READ_BYTES = 4096
_WRITE_BYTES = 1024


def item_bytes(item: Item) -> int:
    """Return the size of an item in DynamoDB's JSON: its names and values, in UTF-8."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Item) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _number_bytes(content)
        case "B":
            return len(base64.b64decode(content))
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return sum(len(text.encode()) for text in content)
        case "NS":
            return sum(map(_number_bytes, content))
        case "BS":
            return sum(len(base64.b64decode(text)) for text in content)
        case "L":
            return 3 + sum(1 + _value_bytes(element) for element in content)
        case "M":
            return 3 + sum(
                len(name.encode()) + 1 + _value_bytes(element) for name, element in content.items()
            )
        case _:
            raise ValueError(f"DynamoDB has no type {kind!r}")


def _number_bytes(number: str) -> int:
    """Return one byte for each two significant digits, and one more; another for a sign."""
    digits = number.lstrip("-").split("e")[0].split("E")[0].replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + number.startswith("-")


def write_units(size_bytes: int, *, is_transaction: bool = False) -> float:
    """Return what writing an item costs, of the larger of its sizes before and after."""
    units = max(1, -(-size_bytes // _WRITE_BYTES))
    return float(units * 2 if is_transaction else units)


def read_units(size_bytes: int, *, is_consistent: bool) -> float:
    """Return what reading costs: one item, or all that a Query or Scan evaluated together."""
    units = max(1, -(-size_bytes // _READ_BYTES))
    return units if is_consistent else units / 2


def evaluated_units(items: Iterable[Item], *, is_consistent: bool) -> float:
    """Return what a Query or Scan costs that evaluated these items: their sum, rounded once."""
    return read_units(sum(map(item_bytes, items)), is_consistent=is_consistent)
