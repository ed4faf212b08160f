"""Spread the attempts of a step over partitions of the jobs table.

A partition takes a thousand writes a second (DynamoDB's quotas), and a wide step has ten thousand
jobs. So the jobs of a step lie in lots, each a partition. First attempts are inserted lot by lot:
each lot is full before the next is begun, so a reader knows where a step ends.
"""

from __future__ import annotations

from shiftwork_core.adapters.dynamodb.expressions import Item
from shiftwork_core.domain.requests.records import AttemptKey

#: The key of the jobs table.
KEY = ("lot", "key")
#: How many jobs share a partition.
JOBS_A_LOT = 500


def lot_of(request_id: str, key: AttemptKey) -> str:
    """Return the lot of an attempt. `#` is in no request's id."""
    return f"{request_id}#{key.step:04d}#{key.job // JOBS_A_LOT:04d}"


def request_of(row: Item) -> str:
    """Return the id of the request that a row, or an index's entry, belongs to."""
    lot: str = row["lot"]["S"]
    return lot.rsplit("#", 2)[0]


def is_last_of_lot(job: int) -> bool:
    """Whether a job is the last that its lot has room for."""
    return (job + 1) % JOBS_A_LOT == 0
