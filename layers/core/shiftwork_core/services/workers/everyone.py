"""Read the records of all workers at once, for what no index answers, up to a bound."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from shiftwork_core.errors import AnswerTooLarge
from shiftwork_core.ports.workers import WorkerStore

if TYPE_CHECKING:
    from shiftwork_core.domain.workers.workers import Worker

#: So many records are read in some seconds; they take some 10 MB.
MOST_WORKERS = 10_000


def every_worker(store: WorkerStore) -> list[Worker]:
    """Return the records of all workers, by worker id, strongly consistent.

    Raises
    ------
    AnswerTooLarge
        If there are more than `MOST_WORKERS`.
    """
    rows = list(islice(store.all(), MOST_WORKERS + 1))
    if len(rows) > MOST_WORKERS:
        raise AnswerTooLarge(
            f"there are more than {MOST_WORKERS:,} records of workers, too many to read at once",
            "list them page by page: GET /v1/workers; delete those of workers that are gone",
        )
    return sorted(rows, key=lambda row: row.worker_id)
