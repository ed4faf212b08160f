"""The ports of workers: stores of their records and used tokens, and the task API's view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # Most functions never see a worker's record.
    from shiftwork_core.domain.workers.workers import Worker
from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.ports.stores import Page, Write


class WorkerStore(Protocol):
    """Records of workers."""

    def get(self, worker_id: str) -> Worker | None:
        """Read a record, strongly consistent."""

    def save(self, worker: Worker) -> Write[Worker | None]:
        """Write the record, its revision one up, if the row's revision is still `worker`'s.

        Revision 0: if there is no row. Won also if the row is the very one that this writes. Lost
        with None: it was deleted.
        """

    def delete(self, worker: Worker) -> bool:
        """Delete the record if its revision is still `worker`'s. True also if there is none."""

    def find(
        self, is_wanted: Callable[[Worker], bool], limit: int, next_token: str | None
    ) -> Page[Worker]:
        """List the records that are wanted, by worker id, from an index (eventually consistent).

        Rows are read strongly consistent. The token is the last id that the page before looked at.
        """

    def all(self) -> Iterator[Worker]:
        """Read every record, in any order, strongly consistent, page by page as far as one goes."""

    def watched(self, before: datetime, shard: str | None = None) -> Iterable[str]:
        """List workers that a sweep is to check before a time, the longest overdue first.

        Of one shard, or of all; from an index (eventually consistent), read page by page as far as
        the caller goes.
        """

    def put_off(self, worker_id: str, before: datetime) -> PutOff | None:
        """Make a worker that is to be checked before a time due later, as a sweep cannot check it.

        None: it is no longer to be checked before that time. See `domain.put_offs`.
        """


class TokenStore(Protocol):
    """The ids of single-use tokens that were used."""

    def use(self, token_id: str, user: str, expires_at: datetime) -> bool:
        """Record that `user` has used the token. False: somebody else used it before.

        The row may be deleted once the token has expired.
        """


class Standing(Enum):
    """Whether a worker's call may be given work."""

    MAY_WORK = "may work"
    #: The worker is drained, or has said that it leaves.
    DRAINED = "drained"
    #: The worker has let a lease run out since it called: it has probably died, and nobody reads
    #: the answer. If it lives, its next call may be given work.
    SILENT = "silent"


class WorkerWatch(Protocol):
    """Worker records as the task API writes and reads them."""

    def polling(
        self,
        worker_id: str,
        wants: Mapping[str, int],
        now: datetime,
        *,
        called_at: datetime | None = None,
    ) -> Standing:
        """Record that a worker polls these queues, for at most so many jobs each.

        A queue is a job type's name, or `type#domain`. `called_at` is when the worker's call
        arrived, which may wait and be looked at often; None: now. An unknown worker gets a record;
        one without a name has none. While nothing changes, this writes at most once in 30 s.
        """

    def changed(
        self,
        worker_id: str,
        started: Sequence[str],
        finished: Sequence[str],
        now: datetime,
        *,
        error: str | None = None,
    ) -> None:
        """Record which attempts the worker holds from now on, and which no longer.

        It writes once at most, and the same call again changes nothing. `error` is what the worker
        reports as wrong: empty if nothing is, None if it does not say.
        """

    def lapsed(self, worker_id: str, attempt_id: str, now: datetime) -> None:
        """Record that the worker has let the lease of an attempt run out, and holds it no longer.

        The same call again changes nothing.
        """

    def running(self, worker_id: str) -> Sequence[str]:
        """Return the attempts that the worker holds according to its record."""


class NoWatch(WorkerWatch):
    """Keeps no record, and gives work to everybody."""

    def polling(
        self,
        worker_id: str,
        wants: Mapping[str, int],
        now: datetime,
        *,
        called_at: datetime | None = None,
    ) -> Standing:
        """Allow every worker to have work."""
        return Standing.MAY_WORK

    def changed(
        self,
        worker_id: str,
        started: Sequence[str],
        finished: Sequence[str],
        now: datetime,
        *,
        error: str | None = None,
    ) -> None:
        """Record nothing."""

    def lapsed(self, worker_id: str, attempt_id: str, now: datetime) -> None:
        """Record nothing."""

    def running(self, worker_id: str) -> Sequence[str]:
        """Return none."""
        return ()
