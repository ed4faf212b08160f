"""Turn requests, steps and attempts into DynamoDB's items, and back.

What is None, or has its default in an attempt, is left out. JSON is kept as text. An index has
only those items that have both of its key's attributes:

by_status   `status_lane` (a status and a shard) and `created_at`: requests
by_due      `lane` (a lane and a shard) and `due_at`: requests that a sweep must check
by_wake     `wake_lane` (a shard) and `wake_at`: retries whose back-off no message can carry
by_queue    `queue` and `queue_at`: attempts that wait for a worker, or are held by one; see
            queue_items.py
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, astuple
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.dynamodb.expressions import Item, Value, from_wire, to_wire
from shiftwork_core.adapters.dynamodb.lots import lot_of
from shiftwork_core.adapters.dynamodb.queue_items import queue_values
from shiftwork_core.adapters.dynamodb.shards import sharded
from shiftwork_core.domain.payloads import Payload, to_json
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.outages import outage_from_text, outage_to_text
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    LateUpdate,
    LogLine,
    Request,
    RequestError,
    Span,
    Step,
    StepStatus,
)
from shiftwork_core.domain.requests.retries import retries_from_text, retries_to_text
from shiftwork_core.domain.requests.stalls import stall_from_text, stall_to_text
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.times import from_iso, to_iso
from shiftwork_core.ports.jobs import waits_in_table
from shiftwork_core.ports.shards import shard_of
from shiftwork_core.ports.stores import lane_of

if TYPE_CHECKING:
    from shiftwork_core.domain.requests.blocks import Block

REQUEST_PART = "request"
STEP_PREFIX = "step#"


def step_part(index: int) -> str:
    """Return the sort key of a step; text order is the steps' order."""
    return f"{STEP_PREFIX}{index:04d}"


def request_key(request_id: str) -> Item:
    """Return the key of a request's row."""
    return to_wire({"request_id": request_id, "part": REQUEST_PART})


def step_key(request_id: str, index: int) -> Item:
    """Return the key of a step's row."""
    return to_wire({"request_id": request_id, "part": step_part(index)})


def tally_key(request_id: str, index: int, shard: str) -> Item:
    """Return the key of a shard of a step's tally, which is next to until when batches live."""
    return to_wire({"request_id": f"{request_id}#{index:04d}#{shard}", "until": "tally"})


def attempt_key(request_id: str, key: AttemptKey) -> Item:
    """Return the key of an attempt's row."""
    return to_wire({"lot": lot_of(request_id, key), "key": str(key)})


def epoch_s(moment: datetime) -> int:
    """Return seconds since 1970, rounded up: DynamoDB's time to live takes no other form."""
    return math.ceil(moment.timestamp())


def kept(moment: datetime) -> datetime:
    """Return the time as a row keeps it, to compare it with one that was read."""
    return from_iso(to_iso(moment))


def payload_values(name: str, payload: Payload | None) -> dict[str, Value | None]:
    """Return a payload's two attributes, of which at most one has a value."""
    text, ref = (None, None) if payload is None else (payload.text, payload.ref)
    return {name: text, f"{name}_ref": ref}


def due_values(
    request_id: str, status: RequestStatus, due_at: datetime | None
) -> dict[str, Value | None]:
    """Return values that put a request of a status into the index of due times, or take it out."""
    lane = None if due_at is None else sharded(lane_of(status), request_id)
    return {"due_at": due_at, "lane": lane}


def status_values(request_id: str, status: RequestStatus) -> dict[str, Value | None]:
    """Return values that give a request its status, in its row and in the lists."""
    return {"status": status, "status_lane": sharded(status, request_id)}


def ending_values(
    request_id: str,
    status: RequestStatus,
    now: datetime,
    due_at: datetime | None,
    retention: timedelta,
) -> dict[str, Value | None]:
    """Return the values that end a request, without its error and extras."""
    return {
        **status_values(request_id, status),
        "completed_at": now,
        "expires_at": epoch_s(now + retention),
        **due_values(request_id, status, due_at),
    }


def request_error_text(error: RequestError) -> str:
    """Return a request's error as JSON."""
    return to_json(asdict(error))


def job_error_text(error: JobError) -> str:
    """Return an attempt's error as JSON."""
    return to_json(asdict(error))


def request_item(request: Request) -> Item:
    """Return the item of a request."""
    return to_wire(
        {
            "request_id": request.request_id,
            "part": REQUEST_PART,
            "type": request.type,
            "type_version": request.type_version,
            "job_types": to_json(request.job_types),
            **payload_values("params", request.params),
            **payload_values("extras", request.extras),
            "created_at": request.created_at,
            **status_values(request.request_id, request.status),
            "current_step": request.current_step,
            "execution": request.execution,
            "generation": request.generation,
            **due_values(request.request_id, request.status, request.due_at),
            "start_at": request.start_at,
            "started_at": request.started_at,
            "completed_at": request.completed_at,
            "first_completed_at": request.first_completed_at,
            "retries": retries_to_text(request.retries),
            "error": None if request.error is None else request_error_text(request.error),
            "correlation_id": request.correlation_id,
            "priority": request.priority,
            "domains": to_json(request.domains) if request.domains else None,
            "outage": outage_to_text(request.outage),
        }
    )


def request_from(item: Item) -> Request:
    """Return the request of an item, whole or as an index projects it."""
    values = from_wire(item)
    return Request(
        request_id=values["request_id"],
        type=values["type"],
        type_version=values["type_version"],
        job_types=json.loads(values.get("job_types", "{}")),
        params=_payload_in(values, "params") or Payload(),
        extras=_payload_in(values, "extras") or Payload(),
        created_at=from_iso(values["created_at"]),
        status=RequestStatus(values["status"]),
        current_step=values["current_step"],
        execution=values.get("execution", 1),
        generation=values.get("generation", 0),
        due_at=_time_in(values, "due_at"),
        start_at=_time_in(values, "start_at"),
        started_at=_time_in(values, "started_at"),
        completed_at=_time_in(values, "completed_at"),
        first_completed_at=_time_in(values, "first_completed_at"),
        retries=retries_from_text(values.get("retries")),
        error=RequestError(**json.loads(values["error"])) if "error" in values else None,
        correlation_id=values.get("correlation_id"),
        priority=values["priority"],
        domains=json.loads(values.get("domains", "{}")),
        outage=outage_from_text(values.get("outage")),
    )


def step_item(step: Step) -> Item:
    """Return the item of a step. It has no `status_lane`, which keeps it out of by_status."""
    return to_wire(
        {
            "request_id": step.request_id,
            "part": step_part(step.index),
            "name": step.name,
            "job_count": step.job_count,
            "started_at": step.started_at,
            "status": step.status,
            "counts": to_json(step.counts),
            "completed_at": step.completed_at,
            "settles": step.arrivals,
            "token": step.token,
            "type": step.type or None,
            "target": step.target,
            "stall": stall_to_text(step.stall),
            "spans": to_json([astuple(span) for span in step.spans]) if step.spans else None,
            "tolerated": step.tolerated or None,
            **payload_values("extras", step.extras),
        }
    )


def step_from(item: Item) -> Step:
    """Return the step of an item."""
    values = from_wire(item)
    return Step(
        request_id=values["request_id"],
        index=int(values["part"].removeprefix(STEP_PREFIX)),
        name=values["name"],
        job_count=values["job_count"],
        started_at=from_iso(values["started_at"]),
        status=StepStatus(values["status"]),
        counts=json.loads(values["counts"]),
        completed_at=_time_in(values, "completed_at"),
        arrivals=values["settles"],
        token=values.get("token"),
        target=values.get("target"),
        type=values.get("type", ""),
        stall=stall_from_text(values.get("stall")),
        spans=tuple(Span(*span) for span in json.loads(values.get("spans", "[]"))),
        tolerated=values.get("tolerated", 0),
        extras=_payload_in(values, "extras"),
    )


def attempt_item(attempt: Attempt) -> Item:
    """Return the item of an attempt, at most 1 KiB with small payloads: one write unit."""
    return to_wire(
        {
            "lot": lot_of(attempt.request_id, attempt.key),
            "key": str(attempt.key),
            "request_id": attempt.request_id,
            "name": attempt.name,
            "type": attempt.type,
            "type_version": attempt.type_version,
            "created_at": attempt.created_at,
            "status": attempt.status,
            "tries": None if attempt.tries == 1 else attempt.tries,
            "generation": attempt.generation or None,
            "on_failure": None if attempt.on_failure is OnFailure.STOP else attempt.on_failure,
            "is_wide": attempt.is_wide or None,
            "is_polled": attempt.is_polled or None,
            "fence": attempt.fence or None,
            **payload_values("item", attempt.item),
            **payload_values("params", attempt.params),
            **payload_values("output", attempt.output),
            "error": None if attempt.error is None else job_error_text(attempt.error),
            "wake_at": attempt.wake_at,
            "wake_lane": shard_of(attempt.attempt_id) if waits_in_table(attempt) else None,
            "started_at": attempt.started_at,
            "completed_at": attempt.completed_at,
            "lease_until": attempt.lease_until,
            "worker_id": attempt.worker_id,
            "claim_id": attempt.claim_id,
            "priority": attempt.priority or None,
            "domain": attempt.domain,
            "shard": attempt.shard or None,
            "poll_until": attempt.poll_until,
            "poll_count": attempt.poll_count or None,
            "slot": attempt.slot,
            "late_updates": late_updates_text(attempt.late_updates),
            "block": _block_text(attempt),
            **(queue_values(attempt) if attempt.is_polled else {}),
        }
    )


def block_values(attempt: Attempt) -> dict[str, Value | None]:
    """Return what is written of a block, and of what its jobs have returned; nothing of a job."""
    if attempt.block is None:
        return {}
    return {"block": _block_text(attempt), **payload_values("output", attempt.output)}


def _block_text(attempt: Attempt) -> str | None:
    if attempt.block is None:
        return None
    from shiftwork_core.domain.requests.blocks import block_to_text

    return block_to_text(attempt.block)


def _block_in(values: dict[str, Any]) -> Block | None:
    if "block" not in values:
        return None
    # Few requests have blocks, and each module makes each cold start longer.
    from shiftwork_core.domain.requests.blocks import block_from_text

    return block_from_text(values["block"])


def late_updates_text(updates: tuple[LateUpdate, ...]) -> str | None:
    """Return late updates as JSON, None for none."""
    if not updates:
        return None
    return to_json([[to_iso(u.at), u.status, u.worker_id, u.reason] for u in updates])


def _late_updates_in(values: dict[str, Any]) -> tuple[LateUpdate, ...]:
    rows = json.loads(values.get("late_updates", "[]"))
    return tuple(LateUpdate(from_iso(at), *rest) for at, *rest in rows)


def log_prefix(key: AttemptKey) -> str:
    """Return the prefix of an attempt's log lines; attempts' own keys begin with a digit."""
    return f"log#{key}#"


def log_item(request_id: str, key: AttemptKey, line: LogLine, expires_at: int) -> Item:
    """Return the item of a line, under a key made from what it says."""
    digest = hashlib.sha256(line.message.encode()).hexdigest()[:12]
    return to_wire(
        {
            "lot": lot_of(request_id, key),
            "request_id": request_id,
            "key": f"{log_prefix(key)}{to_iso(line.at)}#{digest}",
            "at": line.at,
            "message": line.message,
            "expires_at": expires_at,
        }
    )


def log_from(item: Item) -> LogLine:
    """Return the line of an item."""
    values = from_wire(item)
    return LogLine(from_iso(values["at"]), values["message"])


def attempt_from(item: Item) -> Attempt:
    """Return the attempt of an item."""
    values = from_wire(item)
    return Attempt(
        request_id=values["request_id"],
        key=AttemptKey.parse(values["key"]),
        name=values["name"],
        type=values["type"],
        type_version=values["type_version"],
        created_at=from_iso(values["created_at"]),
        status=AttemptStatus(values["status"]),
        tries=values.get("tries", 1),
        generation=values.get("generation", 0),
        on_failure=OnFailure(values.get("on_failure", OnFailure.STOP)),
        is_wide=values.get("is_wide", False),
        is_polled=values.get("is_polled", False),
        fence=values.get("fence", 0),
        item=_payload_in(values, "item"),
        params=_payload_in(values, "params"),
        output=_payload_in(values, "output"),
        error=JobError(**json.loads(values["error"])) if "error" in values else None,
        wake_at=_time_in(values, "wake_at"),
        started_at=_time_in(values, "started_at"),
        completed_at=_time_in(values, "completed_at"),
        lease_until=_time_in(values, "lease_until"),
        worker_id=values.get("worker_id"),
        claim_id=values.get("claim_id"),
        priority=values.get("priority", 0),
        domain=values.get("domain"),
        shard=values.get("shard", 0),
        poll_until=_time_in(values, "poll_until"),
        poll_count=values.get("poll_count", 0),
        slot=values.get("slot"),
        late_updates=_late_updates_in(values),
        block=_block_in(values),
    )


def _payload_in(values: dict[str, Any], name: str) -> Payload | None:
    text, ref = values.get(name), values.get(f"{name}_ref")
    return None if text is None and ref is None else Payload(text, ref)


def _time_in(values: dict[str, Any], name: str) -> datetime | None:
    return from_iso(values[name]) if name in values else None
