"""The worker record: what a worker process does, when it was last seen, and its status.

Each function returns the record after an event, and the same record if the event changes nothing:
so an event that is reported twice does no harm and costs no write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum


class WorkerStatus(StrEnum):
    """What a worker is doing. Follows from how many builds run, and from what it reports."""

    #: Runs nothing.
    IDLE = "idle"
    #: Runs something and has room for more.
    AVAILABLE = "available"
    #: Runs as much as it may.
    BUSY = "busy"
    #: Reports that something is wrong with it, or runs more than it may.
    ERROR = "error"
    #: Has been silent for too long, or has let a lease run out and not called since. Never stored.
    OFFLINE = "offline"
    #: Has said that it leaves, and runs nothing any more. Never stored.
    STOPPED = "stopped"


class WorkerKind(StrEnum):
    """How a record was created."""

    #: The worker registered, and checks in.
    REGISTERED = "registered"
    #: Made from the polls of a worker that speaks Conductor's protocol only.
    DERIVED = "derived"


@dataclass(frozen=True, slots=True)
class Poll:
    """When a queue was last polled, and for how many jobs at most."""

    at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Liveness:
    """How long a silent worker counts as alive, and how often its signs of life are written."""

    #: Longer than two check-ins, so that a worker may miss one.
    offline_after: timedelta = timedelta(seconds=90)
    #: While nothing else changes, a poll moves `last_seen_at` no more often than this.
    seen_every: timedelta = timedelta(seconds=30)
    #: A queue that was not polled for so long is no longer in the record.
    polls_kept: timedelta = timedelta(minutes=10)
    #: The record of a worker that was not seen for so long is pruned.
    kept: timedelta = timedelta(days=7)

    @classmethod
    def of(cls, offline_after: timedelta, kept: timedelta) -> Liveness:
        """Return rules for another offline interval, with the others in proportion to it."""
        usual = cls()
        seen_every = min(usual.seen_every, offline_after / 3)
        return cls(offline_after, seen_every, usual.polls_kept, kept)


#: No worker polls more queues; a bug that invents names must not fill the row.
_MAX_POLLS = 100


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's record.

    `status` follows `status_of`; people are shown `shown_status`. `running_build_ids` are the ids
    of the attempts that it holds. The worker itself sets `active`: false from when it leaves until
    it registers again. People set `is_drained`; `drained_for` has the ids of the stops of its
    workspace that have drained it. `last_checked_in` is its last check-in, `last_seen_at` its last
    sign of life, polls included. `lapsed_at` is when an attempt of it was declared lost because its
    lease ran out, None once the worker has called since. `generation` is that of its tokens, any
    other is refused; empty before it first registers. `watch_at` is when a sweep checks that it is
    alive, None once it was declared lost. `revision` rises with every write.
    """

    worker_id: str
    hostname: str
    kind: WorkerKind
    last_seen_at: datetime
    last_status_update_at: datetime
    address: str = ""
    routes: tuple[str, ...] = ()
    active: bool = True
    is_drained: bool = False
    drained_for: tuple[str, ...] = ()
    status: WorkerStatus = WorkerStatus.IDLE
    running_build_ids: tuple[str, ...] = ()
    build_limit: int = 1
    error: str | None = None
    last_build_started_at: datetime | None = None
    last_build_finished_at: datetime | None = None
    last_checked_in: datetime | None = None
    lapsed_at: datetime | None = None
    polls: Mapping[str, Poll] = field(default_factory=dict)
    watch_at: datetime | None = None
    generation: str = ""
    revision: int = 0

    @property
    def is_registered(self) -> bool:
        """Whether it has registered, and therefore checks in."""
        return self.kind is WorkerKind.REGISTERED

    @property
    def may_have_work(self) -> bool:
        """Whether its polls are answered with jobs."""
        return self.active and not self.is_drained and not self.drained_for

    def alive_until(self, rules: Liveness) -> datetime:
        """Return when it counts as offline unless it is seen before."""
        return self.last_seen_at + rules.offline_after

    def is_silent(self, now: datetime, rules: Liveness) -> bool:
        """Whether it has been silent for the offline interval.

        A worker that does not check in is silent while it has no room for more: with builds it
        counts as alive until their leases run out, and they are taken out of the record.
        """
        if not self.is_registered and self.running_build_ids:
            return False
        return now > self.alive_until(rules)

    def is_offline(self, now: datetime, rules: Liveness) -> bool:
        """Whether it has been silent for too long: for the interval, or for longer than a lease."""
        if self.lapsed_at is not None and (self.is_registered or not self.running_build_ids):
            return True
        return self.is_silent(now, rules)

    def has_lapsed_since(self, called_at: datetime) -> bool:
        """Whether it has let a lease run out since then: its call of then may have no reader."""
        return self.lapsed_at is not None and called_at < self.lapsed_at

    def is_stale(self, now: datetime, rules: Liveness) -> bool:
        """Whether it has been silent for so long that its record is pruned."""
        return now >= self.last_seen_at + rules.kept

    def shown_status(self, now: datetime, rules: Liveness) -> WorkerStatus:
        """Return the status that people are shown: of the dead and the stopped, that they are."""
        if not self.active and not self.running_build_ids and self.lapsed_at is None:
            return WorkerStatus.STOPPED
        return WorkerStatus.OFFLINE if self.is_offline(now, rules) else self.status


def status_of(running: int, limit: int, error: str | None) -> WorkerStatus:
    """Return the status of a worker with so many running builds of at most `limit`."""
    if error is not None or running > limit:
        return WorkerStatus.ERROR
    if running == 0:
        return WorkerStatus.IDLE
    return WorkerStatus.AVAILABLE if running < limit else WorkerStatus.BUSY


_UNADDRESSABLE = re.compile(r"[^A-Za-z0-9._~-]")
#: In ids, what stands between a key and the name of its worker. No registered worker has it.
_OF_KEY = "~"
_MAX_ID_LENGTH = 200


def worker_key(name: str) -> str:
    """Return the id of a worker's record: its name, made fit for a path of the API.

    Workers of a key, `team-a/host-1`, have records apart from those of all others: `team-a~host-1`.
    """
    return _UNADDRESSABLE.sub("-", name.replace("/", _OF_KEY, 1))[:_MAX_ID_LENGTH]


def registered(
    before: Worker | None,
    hostname: str,
    address: str,
    routes: Sequence[str],
    build_limit: int,
    now: datetime,
    rules: Liveness,
    *,
    generation: str,
) -> Worker:
    """Return the record after a registration, the first one or a later one.

    `generation` is that of its tokens, unless the record has one.

    A drained worker stays drained. It keeps its running builds: its next report or a sweep takes
    out those that it no longer holds.
    """
    row = before or Worker(
        worker_id=worker_key(hostname),
        hostname=hostname,
        kind=WorkerKind.REGISTERED,
        last_seen_at=now,
        last_status_update_at=now,
    )
    row = replace(
        row,
        hostname=hostname,
        kind=WorkerKind.REGISTERED,
        address=address,
        routes=tuple(dict.fromkeys(routes)),
        build_limit=build_limit,
        active=True,
        error=None,
        last_checked_in=now,
        last_status_update_at=now,
        generation=row.generation or generation,
    )
    return _with_status(seen(row, now, rules), now)


def revoked(row: Worker, generation: str) -> Worker:
    """Return the record of a worker whose tokens have all ended: it must register again."""
    return replace(row, generation=generation)


def derived(name: str, now: datetime, rules: Liveness) -> Worker:
    """Return the first record of a worker that has not registered."""
    row = Worker(
        worker_id=worker_key(name),
        hostname=name[:_MAX_ID_LENGTH],
        kind=WorkerKind.DERIVED,
        last_seen_at=now,
        last_status_update_at=now,
    )
    return seen(row, now, rules)


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A worker's report on itself; None changes nothing. An empty error says that it is well."""

    address: str | None = None
    routes: Sequence[str] | None = None
    build_limit: int | None = None
    running_build_ids: Sequence[str] | None = None
    active: bool | None = None
    error: str | None = None


def reported(row: Worker, report: WorkerReport, now: datetime) -> Worker:
    """Return the record after a report on its worker."""
    changes: dict[str, object] = {}
    if report.address is not None:
        changes["address"] = report.address
    if report.routes is not None:
        changes["routes"] = tuple(dict.fromkeys(report.routes))
    if report.build_limit is not None:
        changes["build_limit"] = report.build_limit
    if report.active is not None:
        changes["active"] = report.active
    if report.error is not None:
        changes["error"] = report.error or None
    changed = replace(row, **changes)  # type: ignore[arg-type]
    if report.running_build_ids is not None:
        changed = _running(changed, tuple(dict.fromkeys(report.running_build_ids)), now)
    return _with_status(changed, now)


def seen(row: Worker, now: datetime, rules: Liveness) -> Worker:
    """Return the record after a sign of life: whatever has lapsed, it is there.

    A sweep that checks the record sets the time of its next check itself: so a sign of life changes
    no attribute of an index, and costs one write.
    """
    last_seen_at = max(now, row.last_seen_at)
    watch_at = last_seen_at + rules.offline_after if row.watch_at is None else row.watch_at
    return replace(row, last_seen_at=last_seen_at, lapsed_at=None, watch_at=watch_at)


def checked_in(row: Worker, now: datetime, rules: Liveness) -> Worker:
    """Return the record after a check-in; from now on the worker must go on checking in."""
    row = replace(row, kind=WorkerKind.REGISTERED, last_checked_in=now)
    return seen(row, now, rules)


def polled(row: Worker, counts: Mapping[str, int], now: datetime, rules: Liveness) -> Worker:
    """Return the record after polls of these queues for at most so many jobs each.

    It is the same record if nothing in it is worth a write.
    """
    news = {queue: n for queue, n in counts.items() if _is_worth_a_write(row, queue, n, now, rules)}
    is_due = now >= row.last_seen_at + _poll_interval(row, rules)
    is_back = row.watch_at is None or row.lapsed_at is not None
    if not news and not is_due and not is_back:
        return row
    kept = {queue: p for queue, p in row.polls.items() if now < p.at + rules.polls_kept}
    for queue, count in counts.items():
        most = kept[queue].count if queue in kept else 0
        kept[queue] = Poll(now, max(count, most))
    newest = sorted(kept.items(), key=lambda entry: entry[1].at, reverse=True)[:_MAX_POLLS]
    return _guessed_limit(seen(replace(row, polls=dict(newest)), now, rules), now)


def _is_worth_a_write(row: Worker, queue: str, count: int, now: datetime, rules: Liveness) -> bool:
    known = row.polls.get(queue)
    if known is None or now >= known.at + rules.polls_kept:
        return len(row.polls) < _MAX_POLLS
    return not row.is_registered and count > known.count


def _poll_interval(row: Worker, rules: Liveness) -> timedelta:
    """Return after how long a poll is worth a write; check-ins of registered workers count, too."""
    return rules.offline_after / 2 if row.is_registered else rules.seen_every


def changed(
    row: Worker, started: Iterable[str], finished: Iterable[str], now: datetime, rules: Liveness
) -> Worker:
    """Return the record after builds have started and finished; each id counts once.

    A start is a sign of life. An end is not, since a lease that runs out ends a build, too.
    """
    ended = set(finished)
    stays = [i for i in row.running_build_ids if i not in ended]
    begun = [i for i in dict.fromkeys(started) if i not in ended and i not in stays]
    after = _running(row, (*stays, *begun), now)
    if begun:
        after = seen(after, now, rules)
    return _with_status(_guessed_limit(after, now), now)


def lapsed(row: Worker, attempt_id: str, now: datetime) -> Worker:
    """Return the record after the worker has let the lease of a build run out."""
    if attempt_id not in row.running_build_ids:
        return row  # It is known already, and the worker may have called since.
    stays = [i for i in row.running_build_ids if i != attempt_id]
    return replace(only_running(row, stays, now), lapsed_at=now)


def only_running(row: Worker, held: Iterable[str], now: datetime) -> Worker:
    """Return the record without builds that the worker no longer holds."""
    still = set(held)
    return _with_status(
        _running(row, tuple(i for i in row.running_build_ids if i in still), now), now
    )


def declared_lost(row: Worker, now: datetime) -> Worker:
    """Return the record of a worker that was declared lost: no sweep checks it any more."""
    return replace(only_running(row, (), now), watch_at=None)


def watched(row: Worker, at: datetime) -> Worker:
    """Return the record that a sweep checks again at a time."""
    return replace(row, watch_at=at)


def _running(row: Worker, ids: tuple[str, ...], now: datetime) -> Worker:
    """Set the running builds, and the times at which one last started or finished."""
    before, after = set(row.running_build_ids), set(ids)
    if before == after:
        return row
    return replace(
        row,
        running_build_ids=ids,
        last_status_update_at=now,
        last_build_started_at=now if after - before else row.last_build_started_at,
        last_build_finished_at=now if before - after else row.last_build_finished_at,
    )


def _guessed_limit(row: Worker, now: datetime) -> Worker:
    """Raise the limit of a worker that has named none to what it asks for, and what it runs.

    It asks for as many jobs as it has free threads, for each queue separately; several processes of
    one host share its name.
    """
    if row.is_registered:
        return row
    asked = sum(poll.count for poll in row.polls.values())
    limit = max(row.build_limit, asked, len(row.running_build_ids))
    return _with_status(replace(row, build_limit=limit), now)


def _with_status(row: Worker, now: datetime) -> Worker:
    """Set the status that follows from the rest."""
    status = status_of(len(row.running_build_ids), row.build_limit, row.error)
    if status is row.status:
        return row
    return replace(row, status=status, last_status_update_at=now)
