"""Count by the tables' streams: what the local stack shows, whose CloudWatch has no such metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from shiftwork.local.verify.counts import FUNCTIONS, Clients

_UNIT_BYTES = 1024
#: A thousand jobs write some 3,000 records; a page has up to 1,000.
_MAX_PAGES = 1000


class StreamCounts:
    """Counts the records of an emulator's streams, which have one shard and no delay."""

    title = (
        "the local stack: sizes of the records in the tables' streams, the functions' logs and the "
        "history of the execution"
    )
    hidden = frozenset({"read_units"})

    def __init__(
        self, clients: Clients, resources: Mapping[str, str], clock: Callable[[], float]
    ) -> None:
        self._clients = clients
        self._resources = resources
        self._clock = clock
        self._iterators: dict[str, str] = {}
        self._began_ms = 0

    def begin(self) -> None:
        """Note where the streams end now."""
        for table in ("RequestsTable", "JobsTable"):
            self._iterators[table] = self._end_of(self._resources[table])
        self._began_ms = int(self._clock() * 1000)

    def take(self, jobs: int) -> Mapping[str, float | None]:
        """Read what has come since."""
        units = {table: self._units(start) for table, start in self._iterators.items()}
        return {
            "job_write_units": units["JobsTable"] / jobs,
            "request_write_units": units["RequestsTable"],
            "invocations": self._invocations(),
        }

    def _end_of(self, table: str) -> str:
        stream = self._clients("dynamodb").describe_table(TableName=table)["Table"]
        arn = stream["LatestStreamArn"]
        streams = self._clients("dynamodbstreams")
        [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        found = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="LATEST"
        )
        return str(found["ShardIterator"])

    def _units(self, iterator: str) -> float:
        streams, units = self._clients("dynamodbstreams"), 0
        for _ in range(_MAX_PAGES):
            page = streams.get_records(ShardIterator=iterator)
            if not page["Records"]:
                break
            units += sum(write_units(record["dynamodb"]) for record in page["Records"])
            iterator = page["NextShardIterator"]
        return float(units)

    def _invocations(self) -> int:
        """Return how often the functions of a request have ended since: each logs a report."""
        pages = self._clients("logs").get_paginator("filter_log_events")
        return sum(
            event["message"].startswith("REPORT ")
            for function in FUNCTIONS
            for page in islice(
                pages.paginate(
                    logGroupName=f"/aws/lambda/{self._resources[function]}",
                    startTime=self._began_ms,
                ),
                _MAX_PAGES,
            )
            for event in page["events"]
        )


def write_units(record: Mapping[str, Any]) -> int:
    """Return the units of a write, by the larger of a row before and after it."""
    sizes = [_size_bytes(record.get(image, {})) for image in ("OldImage", "NewImage")]
    return max(1, math.ceil(max(sizes) / _UNIT_BYTES))


def _size_bytes(item: Mapping[str, Any]) -> int:
    """Return about how large DynamoDB takes a row to be."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(wrapped: Mapping[str, Any]) -> int:
    ((kind, value),) = wrapped.items()
    if kind == "M":
        return 3 + _size_bytes(value)
    if kind == "L":
        return 3 + sum(map(_value_bytes, value))
    if kind == "N":
        return len(value) // 2 + 2
    return len(value.encode() if isinstance(value, str) else value) if kind in "SB" else 1
