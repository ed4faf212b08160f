"""What the routes of workers return: the shapes, and the views of their records.

Their times are seconds since 1970.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from answers import Output
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workers.workers import Worker, WorkerStatus
from shiftwork_core.services.workers import explain
from shiftwork_core.services.workers.register import IssuedToken

UnixTime = int
StatusName = Literal["idle", "available", "busy", "error", "offline", "stopped"]


class WorkerAnswer(Output):
    """A worker's record."""

    worker_id: str
    hostname: str
    address: str
    routes: list[str]
    active: bool
    drained: bool
    status: StatusName
    error: str | None
    last_status_update_at: UnixTime
    running_build_ids: list[str]
    build_limit: int
    last_build_started_at: UnixTime | None
    last_build_finished_at: UnixTime | None
    last_checked_in: UnixTime | None
    last_seen_at: UnixTime
    kind: Literal["registered", "derived"]
    polls: dict[str, UnixTime]


class WorkerPage(Output):
    """Some workers, by id. A page may be short or empty, and not the last."""

    items: list[WorkerAnswer]
    next_token: str | None


class InvitationAnswer(Output):
    """A token with which this worker registers once."""

    token: str
    expires_at: UnixTime


class WorkerTokenAnswer(Output):
    """A worker's record and its token; it should check in every `check_in_s` seconds."""

    worker: WorkerAnswer
    token: str
    expires_at: UnixTime
    check_in_s: float


class QueueFinding(Output):
    """Whether jobs of a queue can be claimed now, or why not."""

    queue: str
    waiting: int
    is_blocked: bool
    reason: str
    next: str


class WorkerExplanation(Output):
    """Why a worker gets jobs or none."""

    worker_id: str
    status: StatusName
    summary: str
    running: int
    build_limit: int
    queues: list[QueueFinding]
    next: str


def worker_view(worker: Worker, status: WorkerStatus) -> JsonObject:
    """Return a worker's record; `status` is the one that people are shown."""
    return {
        "worker_id": worker.worker_id,
        "hostname": worker.hostname,
        "address": worker.address,
        "routes": list(worker.routes),
        "active": worker.may_have_work,
        "drained": worker.is_drained or bool(worker.drained_for),
        "status": status.value,
        "error": worker.error,
        "last_status_update_at": _unix(worker.last_status_update_at),
        "running_build_ids": list(worker.running_build_ids),
        "build_limit": worker.build_limit,
        "last_build_started_at": _unix_or_none(worker.last_build_started_at),
        "last_build_finished_at": _unix_or_none(worker.last_build_finished_at),
        "last_checked_in": _unix_or_none(worker.last_checked_in),
        "last_seen_at": _unix(worker.last_seen_at),
        "kind": worker.kind.value,
        "polls": {queue: _unix(poll.at) for queue, poll in sorted(worker.polls.items())},
    }


def token_view(issued: IssuedToken) -> JsonObject:
    """Return a token, and when it ends."""
    return {"token": issued.token, "expires_at": _unix(issued.expires_at)}


def explanation_view(found: explain.WorkerExplanation) -> JsonObject:
    """Return why a worker gets jobs or none."""
    return {
        "worker_id": found.worker.worker_id,
        "status": found.status.value,
        "summary": found.summary,
        "running": len(found.worker.running_build_ids),
        "build_limit": found.worker.build_limit,
        "queues": [_finding_view(finding) for finding in found.findings],
        "next": found.next,
    }


def _finding_view(finding: explain.Finding) -> JsonObject:
    return {
        "queue": finding.queue,
        "waiting": finding.waiting,
        "is_blocked": finding.reason is not None,
        "reason": finding.reason or "jobs can be taken now",
        "next": finding.next,
    }


def _unix(moment: datetime) -> UnixTime:
    return int(moment.timestamp())


def _unix_or_none(moment: datetime | None) -> UnixTime | None:
    return None if moment is None else _unix(moment)
