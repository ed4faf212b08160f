"""The stores of worker records and used tokens, and what the task API tells the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # Most functions never see a worker's record.
    from shiftwork_core.domain.workers.workers import Worker
from shiftwork_core.ports.stores import Write


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

    def all(self) -> Iterator[Worker]:
        """Read every record, by worker id, strongly consistent."""

    def watched(self, before: datetime, limit: int) -> list[str]:
        """List workers that a sweep is to look at before a time, the longest due first.

        From an index (eventually consistent).
        """


class TokenStore(Protocol):
    """Tokens that are good for one use, once they are used."""

    def use(self, token_id: str, user: str, expires_at: datetime) -> bool:
        """Record that `user` has used the token. False: somebody else has.

        The row may be forgotten once the token has expired anyway.
        """


class WorkerWatch(Protocol):
    """What the task API tells the worker record, and asks it."""

    def polling(self, worker_id: str, wants: Mapping[str, int], now: datetime) -> bool:
        """Hear that a worker polls these queues, for at most so many jobs each.

        A queue is a job type's name, or `type#domain`. Return whether the worker may be given work;
        it may not while it is drained. Makes the record of a worker that is not known; writes at
        most once in 30 s while nothing changes. A worker without a name has no record.
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
        """Hear which attempts the worker holds since now, and which no more: at most one write.

        `error` is what the worker says is wrong with it; empty: nothing is; None: it does not say.
        Hearing the same again changes nothing.
        """

    def running(self, worker_id: str) -> Sequence[str]:
        """Return the attempts that the worker holds, as far as its record knows."""


class NoWatch(WorkerWatch):
    """Keeps no record, and gives work to everybody."""

    def polling(self, worker_id: str, wants: Mapping[str, int], now: datetime) -> bool:
        """Let it have work."""
        return True

    def changed(
        self,
        worker_id: str,
        started: Sequence[str],
        finished: Sequence[str],
        now: datetime,
        *,
        error: str | None = None,
    ) -> None:
        """Forget it."""

    def running(self, worker_id: str) -> Sequence[str]:
        """Know of none."""
        return ()
