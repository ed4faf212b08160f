"""Texts of which some are rows and some are objects, read back together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from shiftwork_core.adapters.dynamodb.payload_rows import TieredBlobStore


class Objects:
    """A store of large texts, which it reads side by side."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def get_many(self, refs: Iterable[str]) -> Iterator[str]:
        self.asked.append(list(refs))
        return (f"text of {ref}" for ref in self.asked[-1])


class Rows:
    """A client of DynamoDB whose rows all have a text."""

    def get_item(self, **_: Any) -> dict[str, Any]:
        return {"Item": {"text": {"S": "text of a row"}}}


def test_objects_that_follow_each_other_are_read_side_by_side() -> None:
    objects, rows = Objects(), Rows()
    store = TieredBlobStore(rows, "payloads", objects, lambda: datetime(2026, 1, 1, tzinfo=UTC))  # type: ignore[arg-type]
    refs = [f"requests/32/r1/{name}.json" for name in "abc"]
    found = list(store.get_many([*refs[:2], "row/r1/d", refs[2]]))
    assert found == [*(f"text of {ref}" for ref in refs[:2]), "text of a row", f"text of {refs[2]}"]
    assert objects.asked == [refs[:2], refs[2:]]
