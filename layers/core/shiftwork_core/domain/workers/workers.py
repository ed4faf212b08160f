"""The worker record: what is known of a process that does jobs, and the rule of its status.

Every function returns the record as it is after something that happened; one to which nothing new
has happened is returned unchanged, so that hearing the same twice is harmless and costs no write.
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
    #: Runs something, and has room for more.
    AVAILABLE = "available"
    #: Runs as much as it may.
    BUSY = "busy"
    #: Says that something is wrong with it, or runs more than it may.
    ERROR = "error"
    #: Has not been heard of for too long. Never stored: it is true or not at the time of looking.
    OFFLINE = "offline"


class WorkerKind(StrEnum):
    """How a record came to be."""

    #: The worker registered, and checks in.
    REGISTERED = "registered"
    #: Made from the polls of a worker that speaks Conductor's protocol only.
    DERIVED = "derived"


@dataclass(frozen=True, slots=True)
class Poll:
    """When a queue was last polled, and for how many jobs at the most."""

    at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Liveness:
    """How long a worker that says nothing is believed alive, and what is written how often."""

    #: Longer than two check-ins, so that one that is lost makes nobody look dead.
    offline_after: timedelta = timedelta(seconds=90)
    #: While nothing else changes, a poll moves `last_seen_at` no more often than this.
    seen_every: timedelta = timedelta(seconds=30)
    #: A queue not polled for so long is not polled any more.
    polls_kept: timedelta = timedelta(minutes=10)
    #: A record not heard of for so long is pruned.
    kept: timedelta = timedelta(days=7)

    @classmethod
    def of(cls, offline_after: timedelta, kept: timedelta) -> Liveness:
        """Return rules for another interval, in which others fit as they do by default."""
        usual = cls()
        seen_every = min(usual.seen_every, offline_after / 3)
        return cls(offline_after, seen_every, usual.polls_kept, kept)


#: More queues than these no worker polls; a mistake that makes names up must not fill the row.
_MAX_POLLS = 100


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's record.

    `status` is what the rule says and is never `offline`. `running_build_ids` are the ids of the
    attempts it holds. `active` is what it says itself: false from when it leaves until it registers
    again. `is_drained` is what people say; `drained_for` are the ids of the stops of its workspace
    that have drained it. `last_checked_in` is its own last sign of life, `last_seen_at` also counts
    its polls. `watch_at` is when a sweep looks whether it lives, None once it was declared dead.
    `revision` rises with every write.
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
    polls: Mapping[str, Poll] = field(default_factory=dict)
    watch_at: datetime | None = None
    revision: int = 0

    @property
    def is_registered(self) -> bool:
        """Whether it registered, and so checks in."""
        return self.kind is WorkerKind.REGISTERED

    @property
    def may_have_work(self) -> bool:
        """Whether its polls are answered with jobs."""
        return self.active and not self.is_drained and not self.drained_for

    def alive_until(self, rules: Liveness) -> datetime:
        """Return when it counts as offline unless it is heard of before."""
        return self.last_seen_at + rules.offline_after

    def is_offline(self, now: datetime, rules: Liveness) -> bool:
        """Whether it has not been heard of for too long.

        One that does not check in says nothing while its jobs fill it: with builds it is alive
        until their leases have lapsed, when a sweep takes them out of the record.
        """
        if not self.is_registered and self.running_build_ids:
            return False
        return now > self.alive_until(rules)

    def is_stale(self, now: datetime, rules: Liveness) -> bool:
        """Whether it has not been heard of for so long that it is pruned."""
        return now >= self.last_seen_at + rules.kept

    def shown_status(self, now: datetime, rules: Liveness) -> WorkerStatus:
        """Return its status as people see it."""
        return WorkerStatus.OFFLINE if self.is_offline(now, rules) else self.status

    def has_room(self) -> bool:
        """Whether it runs less than it may."""
        return len(self.running_build_ids) < self.build_limit


def status_of(running: int, limit: int, error: str | None) -> WorkerStatus:
    """Return the status by the rule, for so many running builds of at most `limit`."""
    if error is not None or running > limit:
        return WorkerStatus.ERROR
    if running == 0:
        return WorkerStatus.IDLE
    return WorkerStatus.AVAILABLE if running < limit else WorkerStatus.BUSY


_UNADDRESSABLE = re.compile(r"[^A-Za-z0-9._-]")
_MAX_ID_LENGTH = 200


def worker_key(name: str) -> str:
    """Return the id of the record of a worker that goes by any name, fit for a path of the API."""
    return _UNADDRESSABLE.sub("-", name)[:_MAX_ID_LENGTH]


def registered(
    before: Worker | None,
    hostname: str,
    address: str,
    routes: Sequence[str],
    build_limit: int,
    now: datetime,
    rules: Liveness,
) -> Worker:
    """Return the record after a registration, the first one or a later one.

    If it was drained it still is. What it was running it still holds, as far as is known: what it
    does not hold any more its next report or the sweep takes out.
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
    )
    return _ruled(heard_of(row, now, rules), now)


def derived(name: str, now: datetime, rules: Liveness) -> Worker:
    """Return the record of a worker that has never registered, when it is first heard of."""
    row = Worker(
        worker_id=worker_key(name),
        hostname=name[:_MAX_ID_LENGTH],
        kind=WorkerKind.DERIVED,
        last_seen_at=now,
        last_status_update_at=now,
    )
    return heard_of(row, now, rules)


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker says of itself; None leaves as it is. An empty error says that it is well."""

    address: str | None = None
    routes: Sequence[str] | None = None
    build_limit: int | None = None
    running_build_ids: Sequence[str] | None = None
    active: bool | None = None
    error: str | None = None


def reported(row: Worker, report: WorkerReport, now: datetime) -> Worker:
    """Return the record with what was said of its worker."""
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
    return _ruled(changed, now)


def heard_of(row: Worker, now: datetime, rules: Liveness) -> Worker:
    """Return the record after a sign of life.

    What a sweep looks at already, it looks at again by itself: so a sign of life changes no
    attribute of an index, and costs one write.
    """
    seen = max(now, row.last_seen_at)
    watch_at = seen + rules.offline_after if row.watch_at is None else row.watch_at
    return replace(row, last_seen_at=seen, watch_at=watch_at)


def checked_in(row: Worker, now: datetime, rules: Liveness) -> Worker:
    """Return the record after a check-in; whoever checks in is expected to go on doing so."""
    row = replace(row, kind=WorkerKind.REGISTERED, last_checked_in=now)
    return heard_of(row, now, rules)


def polled(row: Worker, counts: Mapping[str, int], now: datetime, rules: Liveness) -> Worker:
    """Return the record after polls of these queues for at most so many jobs each.

    The very same row if there is nothing that would be worth a write.
    """
    news = {queue: n for queue, n in counts.items() if _is_news(row, queue, n, now, rules)}
    is_due = now >= row.last_seen_at + _patience(row, rules)
    if not news and not is_due and row.watch_at is not None:
        return row
    kept = {queue: p for queue, p in row.polls.items() if now < p.at + rules.polls_kept}
    for queue, count in counts.items():
        most = kept[queue].count if queue in kept else 0
        kept[queue] = Poll(now, max(count, most))
    newest = sorted(kept.items(), key=lambda entry: entry[1].at, reverse=True)[:_MAX_POLLS]
    return _guessed_limit(heard_of(replace(row, polls=dict(newest)), now, rules), now)


def _is_news(row: Worker, queue: str, count: int, now: datetime, rules: Liveness) -> bool:
    known = row.polls.get(queue)
    if known is None or now >= known.at + rules.polls_kept:
        return len(row.polls) < _MAX_POLLS
    return not row.is_registered and count > known.count


def _patience(row: Worker, rules: Liveness) -> timedelta:
    """Return after how long a poll is worth a write; a worker that checks in need not poll too."""
    return rules.offline_after / 2 if row.is_registered else rules.seen_every


def changed(
    row: Worker, started: Iterable[str], finished: Iterable[str], now: datetime, rules: Liveness
) -> Worker:
    """Return the record after builds have started and finished, each id of which counts once.

    A start is a sign of life. An end is not: a lease that runs out ends a build too.
    """
    ended = set(finished)
    stays = [i for i in row.running_build_ids if i not in ended]
    begun = [i for i in dict.fromkeys(started) if i not in ended and i not in stays]
    after = _running(row, (*stays, *begun), now)
    if after is row:
        return row
    if begun:
        after = heard_of(after, now, rules)
    return _ruled(_guessed_limit(after, now), now)


def only_running(row: Worker, held: Iterable[str], now: datetime) -> Worker:
    """Return the record without the builds that it does not hold any more."""
    still = set(held)
    return _ruled(_running(row, tuple(i for i in row.running_build_ids if i in still), now), now)


def drained(row: Worker) -> Worker:
    """Return the record of a worker that gets nothing more; what runs may finish."""
    return replace(row, is_drained=True)


def resumed(row: Worker) -> Worker:
    """Return the record of a worker that gets jobs again, whoever has drained it.

    A stop that still waits for its workers drains it anew as it looks again.
    """
    return replace(row, active=True, is_drained=False, drained_for=())


def drained_for_stop(row: Worker, job_id: str) -> Worker:
    """Return the record of a worker that gets nothing more while a stop goes on."""
    return replace(row, drained_for=tuple(sorted({*row.drained_for, job_id})))


def resumed_after_stop(row: Worker, job_id: str) -> Worker:
    """Return the record of a worker that a stop drains no more; what others said of it stands."""
    return replace(row, drained_for=tuple(kept for kept in row.drained_for if kept != job_id))


def declared_lost(row: Worker, now: datetime) -> Worker:
    """Return the record of a worker that was declared dead: no sweep looks at it any more."""
    return replace(only_running(row, (), now), watch_at=None)


def watched(row: Worker, at: datetime) -> Worker:
    """Return the record at which a sweep looks again at a time."""
    return replace(row, watch_at=at)


def _running(row: Worker, ids: tuple[str, ...], now: datetime) -> Worker:
    """Set what runs, and the times at which something started or finished."""
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
    """Raise the limit of a worker that never named one to what it has asked for, and what it runs.

    It asks for as many as it has threads free, for each queue by itself; several processes of one
    host go by one name.
    """
    if row.is_registered:
        return row
    asked = sum(poll.count for poll in row.polls.values())
    limit = max(row.build_limit, asked, len(row.running_build_ids))
    return _ruled(replace(row, build_limit=limit), now)


def _ruled(row: Worker, now: datetime) -> Worker:
    """Set the status that the rule says."""
    status = status_of(len(row.running_build_ids), row.build_limit, row.error)
    if status is row.status:
        return row
    return replace(row, status=status, last_status_update_at=now)
