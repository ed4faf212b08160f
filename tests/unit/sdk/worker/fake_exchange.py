"""An in-memory server that answers POST /v1/tasks/exchange, in the loop's time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from shiftwork.api.async_client import AsyncShiftworkClient
from shiftwork.api.shapes import ClaimedTask

URL = "http://api.test"
#: How often a waiting call checks for tasks.
LOOK_S = 0.5

Answer = httpx2.Response | Exception
#: Called before the server: returns an answer in its place, or None.
Meddler = Callable[[dict[str, Any]], Answer | None]


@dataclass
class Row:
    """A task's row."""

    type: str
    params: Any
    status: str = "new"
    fence: int = 0
    attempt: int = 1
    wake_at: float = 0.0
    lease_until: float = 0.0
    exchange_id: str = ""
    poll_count: int = 0
    output: dict[str, Any] = field(default_factory=dict)
    claims: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    reason: str = ""
    lines: list[str] = field(default_factory=list)
    late: int = 0


class FakeExchange:
    """The server.

    Attributes
    ----------
    calls
        Bodies of all exchanges that were answered or lost, in order.
    before, after
        Meddlers before and after a call has been carried out: a lost call, a lost answer.
    """

    def __init__(self, *, response_timeout_s: float = 60.0, latency_s: float = 0.02) -> None:
        self.response_timeout_s = response_timeout_s
        self.latency_s = latency_s
        self.rows: dict[str, Row] = {}
        self.calls: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.before: Meddler = lambda body: None
        self.after: Meddler = lambda body: None
        self.cancelled: set[str] = set()
        self.is_drained = False
        self.waits = True
        self.other: Callable[[httpx2.Request], httpx2.Response] = lambda call: httpx2.Response(404)
        self._answers: dict[str, list[str]] = {}

    def client(self) -> AsyncShiftworkClient:
        return AsyncShiftworkClient(URL, "a-token", transport=httpx2.MockTransport(self.handle))

    def add(self, *params: Any, type: str = "pack", wake_at: float = 0.0) -> list[str]:
        """Add a task for each; return their ids."""
        ids = []
        for each in params:
            task_id = f"r-1.1.{len(self.rows)}.1"
            self.rows[task_id] = Row(type, each, wake_at=wake_at)
            ids.append(task_id)
        return ids

    def of(self, status: str) -> list[str]:
        return [task_id for task_id, row in self.rows.items() if row.status == status]

    async def handle(self, call: httpx2.Request) -> httpx2.Response:
        if not call.url.path.endswith("/v1/tasks/exchange"):
            return self.other(call)
        body = json.loads(call.content)
        self.calls.append(body)
        self.times.append(now())
        await asyncio.sleep(self.latency_s / 2)
        if (instead := self.before(body)) is not None:
            return _given(instead)
        answer = await self._exchange(body)
        if (instead := self.after(body)) is not None:
            return _given(instead)
        await asyncio.sleep(self.latency_s / 2)
        return httpx2.Response(200, json=answer)

    async def _exchange(self, body: dict[str, Any]) -> dict[str, Any]:
        exchange_id = body["exchange_id"]
        if exchange_id not in self._answers:
            self._answers[exchange_id] = [self._record(result) for result in body["results"]]
        reported = {result["task_id"] for result in body["results"]}
        held = [task_id for task_id in body["running"] or () if task_id not in reported]
        stop = [task_id for task_id in held if not self._renew(task_id)]
        until = now() + (body["wait_s"] if self.waits and not self.is_drained else 0)
        tasks = self._claim(body)
        while not tasks and body["wants"] and now() + LOOK_S <= until:
            await asyncio.sleep(LOOK_S)
            tasks = self._claim(body)
        return {
            "outcomes": self._answers[exchange_id],
            "tasks": tasks,
            "stop": stop,
            "drained": self.is_drained,
        }

    def _record(self, result: dict[str, Any]) -> str:
        row = self.rows.get(result["task_id"])
        if row is None:
            return "unknown"
        if row.status != "inprogress" or row.fence != result["fence"]:
            row.late += 1
            return "late"
        row.lines += [line["message"] for line in result["logs"]]
        if result["extend_lease"]:
            return "renewed" if self._renew(result["task_id"]) else "stop"
        row.output |= result["output"]
        row.reason = result["reason"]
        row.ends.append(now())
        if result["status"] == "IN_PROGRESS":
            row.status, row.wake_at = "new", now() + result["callback_after_s"]
            return "put-back"
        row.status = result["status"].lower()
        return "recorded"

    def _renew(self, task_id: str) -> bool:
        row = self.rows[task_id]
        if row.status != "inprogress" or task_id in self.cancelled:
            return False
        if row.lease_until - now() <= self.response_timeout_s * 2 / 3:
            row.lease_until = now() + self.response_timeout_s
        return True

    def _claim(self, body: dict[str, Any]) -> list[ClaimedTask]:
        exchange_id = body["exchange_id"]
        self.expire()
        claimed = [
            task_id
            for task_id in self.of("inprogress")
            if self.rows[task_id].exchange_id == exchange_id
        ]
        for want in body["wants"]:
            room = want["count"] - sum(self.rows[i].type == want["type"] for i in claimed)
            for task_id in [] if self.is_drained else self.of("new"):
                row = self.rows[task_id]
                if row.type != want["type"] or row.wake_at > now() or room <= 0:
                    continue
                room -= 1
                row.status, row.exchange_id = "inprogress", exchange_id
                row.fence += 1
                row.poll_count += 1
                row.lease_until = now() + self.response_timeout_s
                row.claims.append(now())
                claimed.append(task_id)
        return [self._view(task_id) for task_id in claimed]

    def expire(self) -> None:
        """Requeue tasks whose lease has run out."""
        for task_id in self.of("inprogress"):
            if self.rows[task_id].lease_until < now():
                self.rows[task_id].status = "lapsed"

    def _view(self, task_id: str) -> ClaimedTask:
        row = self.rows[task_id]
        return {
            "task_id": task_id,
            "fence": row.fence,
            "type": row.type,
            "job": "pack",
            "request_id": "r-1",
            "request_type": "send",
            "attempt": row.attempt,
            "tries": row.attempt,
            "params": row.params,
            "extras": {"from": "before"},
            "item": None,
            "output": row.output,
            "created_at": "2026-01-01T00:00:00Z",
            "lease_until": "2026-01-01T00:01:00Z",
            "response_timeout_s": self.response_timeout_s,
            "timeout_s": 0,
            "poll_count": row.poll_count,
            "correlation_id": None,
            "priority": 0,
        }


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


def _given(answer: Answer) -> httpx2.Response:
    if isinstance(answer, Exception):
        raise answer
    return answer


async def until(
    look: Callable[[], object], within_s: float = 600.0, *, every_s: float = 0.01
) -> float:
    """Let time pass until the condition is true; return that time."""
    end = now() + within_s
    while not look():
        assert now() < end, "it never became true"
        await asyncio.sleep(every_s)
    return now()
