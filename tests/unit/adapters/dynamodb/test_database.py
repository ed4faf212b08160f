"""What DynamoDB leaves out of a batch is asked for again, with a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.namespaces import TableKeys
from shiftwork_core.errors import Throttled, Transient

Key = dict[str, dict[str, str]]

TABLES = {"t": TableKeys("id")}
KEYS: list[Key] = [{"id": {"S": f"{n:03d}"}} for n in range(250)]


class Client:
    """Answers batches as DynamoDB does; `gives` says how many keys of each call it reads."""

    def __init__(self, gives: Callable[[int], int]) -> None:
        self.gives = gives
        self.asked: list[int] = []

    def batch_get_item(self, RequestItems: Any) -> Any:
        [[table, wanted]] = RequestItems.items()
        assert wanted["ConsistentRead"] is True
        self.asked.append(len(wanted["Keys"]))
        count = self.gives(len(self.asked))
        read, left = wanted["Keys"][:count], wanted["Keys"][count:]
        rest = {table: {"Keys": left, "ConsistentRead": True}} if left else {}
        return {"Responses": {table: read}, "UnprocessedKeys": rest}


def reading(gives: Callable[[int], int]) -> tuple[Client, list[float], Database]:
    """Return a client, the waits so far, and a database that draws the longest waits."""
    client, waits = Client(gives), list[float]()
    untyped: Any = client
    return client, waits, Database(untyped, waits.append, lambda: 1.0, TABLES)


def test_what_is_read_at_once_waits_for_nothing() -> None:
    client, waits, database = reading(lambda call: 100)
    assert [*database.read_many("t", KEYS)] == KEYS
    assert (client.asked, waits) == ([100, 100, 50], [])


def test_keys_that_are_left_out_are_asked_for_again_after_a_growing_wait() -> None:
    client, waits, database = reading(lambda call: 0 if call < 4 else 100)
    assert [*database.read_many("t", KEYS[:10])] == KEYS[:10]
    assert client.asked == [10, 10, 10, 10]
    assert waits == [0.02, 0.04, 0.08]


def test_the_waits_are_drawn_so_that_readers_do_not_return_together() -> None:
    client, waits = Client(lambda call: call - 1), list[float]()
    untyped: Any = client
    database = Database(untyped, waits.append, lambda: 0.25, TABLES)
    assert len([*database.read_many("t", KEYS[:1])]) == 1
    assert waits == [0.005]


def test_every_row_comes_once_however_few_an_answer_holds() -> None:
    """Answers end at 16 MB, which is a page and no throttling."""
    client, waits, database = reading(lambda call: 1)
    assert [*database.read_many("t", KEYS[:100])] == KEYS[:100]
    assert client.asked == [*range(100, 0, -1)]
    assert set(waits) == {0.02}


def test_keys_that_are_left_out_for_ever_are_an_error_that_may_pass() -> None:
    client, waits, database = reading(lambda call: 1 if call == 1 else 0)
    with pytest.raises(Throttled, match="t left out 9 rows 12 times in a row") as caught:
        list(database.read_many("t", KEYS[:10]))
    assert isinstance(caught.value, Transient)
    assert len(client.asked) == 12
    assert (len(waits), max(waits)) == (11, 1.0)
