"""Handle each record of a queue's or a stream's batch, and name those to deliver again.

The event source must have `ReportBatchItemFailures`:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from shiftwork_core.telemetry import logger


class ItemFailure(TypedDict):
    """A record to deliver again: a message's id, or a stream record's sequence number."""

    itemIdentifier: str


class BatchAnswer(TypedDict):
    """What Lambda reads; it takes the records that are not named for done."""

    batchItemFailures: list[ItemFailure]


def handle_each(records: Sequence[Any], handle: Callable[[Any], None]) -> BatchAnswer:
    """Handle every record, whatever becomes of the others; see `handle_groups`."""
    return handle_groups([[record] for record in records], lambda group: handle(group[0]))


def handle_groups(
    groups: Sequence[Sequence[Any]], handle: Callable[[Sequence[Any]], None]
) -> BatchAnswer:
    """Handle each group of records, and answer which have failed: all those of a group together.

    If all have failed, the last error is raised: each record is delivered again then too, and the
    invocation counts as failed, which an alarm watches.
    """
    failures: list[ItemFailure] = []
    for group in groups:
        try:
            handle(group)
        except Exception as error:
            ids = [_id_of(record) for record in group]
            logger.exception("cannot handle records", extra={"record_ids": ids})
            failures += [{"itemIdentifier": record_id} for record_id in ids]
            if len(failures) == sum(map(len, groups)):
                raise error
    return {"batchItemFailures": failures}


def _id_of(record: Any) -> str:
    found: str = (
        record["dynamodb"]["SequenceNumber"] if "dynamodb" in record else record["messageId"]
    )
    return found
