"""Compute the size of an item and the units billed for a call, as DynamoDB does.

Source: Amazon DynamoDB Developer Guide, "DynamoDB read and write operations" and "DynamoDB item
sizes and formats". The source of `shiftwork_core.domain.prices` also says that a write whose
condition fails costs as much, and a write in a transaction twice as much.
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
            # On the wire it is text; in boto3's hands it is bytes.
            return len(content if isinstance(content, bytes) else base64.b64decode(content))
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
    """Return a byte for every two significant digits, one more, and one for a minus sign."""
    digits = number.lstrip("-").split("e")[0].split("E")[0].replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + number.startswith("-")


def write_units(size_bytes: int, *, is_transaction: bool = False) -> float:
    """Return the units of a write, from the larger of the item's sizes before and after."""
    units = max(1, -(-size_bytes // _WRITE_BYTES))
    return float(units * 2 if is_transaction else units)


def read_units(size_bytes: int, *, is_consistent: bool) -> float:
    """Return the units of a read: of one item, or of all that a Query or Scan evaluated."""
    units = max(1, -(-size_bytes // _READ_BYTES))
    return units if is_consistent else units / 2


def evaluated_units(items: Iterable[Item], *, is_consistent: bool) -> float:
    """Return the units of a Query or Scan of these items: of their total size, rounded once."""
    return read_units(sum(map(item_bytes, items)), is_consistent=is_consistent)
