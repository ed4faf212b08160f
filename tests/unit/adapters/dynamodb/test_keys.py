"""Names from outside, however long they may be, make keys that DynamoDB takes."""

from __future__ import annotations

import pytest

from shiftwork_core.adapters.dynamodb import items, limit_items, queue_items
from shiftwork_core.adapters.dynamodb.namespaces import DEFAULT
from shiftwork_core.domain.names import KEY_SEPARATOR, MAX_NAME_LENGTH, name_fault
from shiftwork_core.domain.requests.queue_names import MAX_SHARDS, queue_name, shard_name

LONGEST = "\U0001f600" * MAX_NAME_LENGTH
MAX_PARTITION_KEY_BYTES = 2048


@pytest.mark.parametrize(
    "key",
    [
        queue_items.READY + shard_name(queue_name(LONGEST, LONGEST), MAX_SHARDS - 1),
        queue_items.LATER + shard_name(queue_name(LONGEST, LONGEST), MAX_SHARDS - 1),
        items.request_key(LONGEST)["request_id"]["S"],
        limit_items.slot_key(LONGEST, 9999)["name"]["S"],
        # A worker of a key: see caller.py.
        "k" * 100 + "/" + LONGEST,
    ],
)
def test_the_longest_names_make_a_partition_key_that_dynamodb_takes(key: str) -> None:
    assert name_fault(LONGEST) is None
    assert name_fault(LONGEST + "x") is not None
    assert len(f"{DEFAULT}{KEY_SEPARATOR}{key}".encode()) <= MAX_PARTITION_KEY_BYTES
