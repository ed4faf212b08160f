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
    """Handle every record, whatever becomes of the others, and answer which ones have failed.

    If all have failed, the last error is raised: each record is delivered again then too, and the
    invocation counts as failed, which an alarm watches.
    """
    failures: list[ItemFailure] = []
    for record in records:
        try:
            handle(record)
        except Exception as error:
            record_id = _id_of(record)
            logger.exception("cannot handle a record", extra={"record_id": record_id})
            failures.append({"itemIdentifier": record_id})
            if len(failures) == len(records):
                raise error
    return {"batchItemFailures": failures}


def _id_of(record: Any) -> str:
    found: str = (
        record["dynamodb"]["SequenceNumber"] if "dynamodb" in record else record["messageId"]
    )
    return found
