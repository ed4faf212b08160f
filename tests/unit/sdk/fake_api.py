"""An API in memory, behind the client's own transport: it opens no socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2

from shiftwork.api.client import ShiftworkClient
from shiftwork.api.shapes import (
    Attempt,
    FailedJob,
    JobCounts,
    JobLine,
    Rebuild,
    Request,
    RequestPlan,
    Step,
    WorkerView,
)
from tests.unit.sdk.fake_workspaces import NOW, FakeWorkspaces
from tests.unit.sdk.problems import problem as problem
from tests.unit.sdk.transports import FakeTransport

URL = "http://api.test/stage"
TOKEN = "a-token"
PAGE = 2


def counts(**given: int) -> JobCounts:
    none = JobCounts(new=0, inprogress=0, completed=0, failure=0, retry=0, cancelled=0)
    return none | given  # type: ignore[return-value]


def step(index: int, name: str, status: str = "pending", **given: int) -> Step:
    started = None if status == "pending" else "2026-01-01T00:00:01Z"
    completed = "2026-01-01T00:00:03Z" if status == "completed" else None
    return Step(
        index=index,
        name=name,
        status=status,  # type: ignore[typeddict-item]
        job_count=sum(given.values()) - given.get("retry", 0),
        jobs=counts(**given),
        started_at=started,
        completed_at=completed,
    )


def request(request_id: str = "r-1", status: str = "Queuing", **given: Any) -> Request:
    has_ended = status in ("Completed", "Failed", "Cancelled")
    view: dict[str, Any] = {
        "request_id": request_id,
        "type": "greet",
        "type_version": 1,
        "status": status,
        "current_step": 1,
        "correlation_id": None,
        "priority": 0,
        "created_at": "2026-01-01T00:00:00Z",
        "started_at": None,
        "completed_at": "2026-01-01T00:00:05Z" if has_ended else None,
        "params": {},
        "extras": {},
        "start_at": None,
        "retried_at": None,
        "steps": [],
        "error": None,
    }
    return view | given  # type: ignore[return-value]


def attempt(number: int, status: str, *, index: int = 1, tries: int = 1, **given: Any) -> Attempt:
    view: dict[str, Any] = {
        "attempt_id": f"r-1.{index}.{number}.{tries}",
        "job": f"greet[{number}]",
        "type": "greet.one",
        "step": index,
        "attempt": tries,
        "status": status,
        "params": {},
        "item": None,
        "output": None,
        "error": None,
        "created_at": "2026-01-01T00:00:01Z",
        "started_at": None if status == "new" else "2026-01-01T00:00:01Z",
        "completed_at": None if status in ("new", "inprogress") else "2026-01-01T00:00:02Z",
        "wake_at": None,
        "worker_id": None,
        "fence": 1,
    }
    return view | given  # type: ignore[return-value]


def failure(number: int, type: str = "KeyError", *, index: int = 1, **given: Any) -> FailedJob:
    view: dict[str, Any] = {
        "attempt_id": f"r-1.{index}.{number}.1",
        "job": f"greet[{number}]",
        "type": "greet.one",
        "step": index,
        "attempt": 1,
        "tries": 1,
        "item": str(number),
        "error": {"type": type, "message": f"no. {number} is bad"},
        "failed_at": "2026-01-01T00:00:02.000Z",
    }
    return view | given  # type: ignore[return-value]


#: When the commands of the tests run, in seconds since 1970.
NOW_S = int(NOW.timestamp())


def worker(worker_id: str, status: str = "idle", *builds: str, **given: Any) -> WorkerView:
    view: dict[str, Any] = {
        "worker_id": worker_id,
        "hostname": worker_id,
        "address": "",
        "routes": ["mail.send"],
        "active": True,
        "drained": False,
        "status": status,
        "error": None,
        "last_status_update_at": 1767225600,
        "running_build_ids": list(builds),
        "build_limit": 2,
        "last_build_started_at": None,
        "last_build_finished_at": None,
        "last_checked_in": 1767225600,
        "last_seen_at": NOW_S,
        "kind": "registered",
        "polls": {"mail.send": 1767225600},
    }
    return view | given  # type: ignore[return-value]


class FakeApi:
    """Holds its answers, and the calls that it got.

    Attributes
    ----------
    lives
        By request id, what GET answers in turn; the last answer repeats.
    workers
        What GET /v1/workers answers in turn; after the last comes Ctrl-C.
    metrics
        What GET /metrics answers.
    rebuilds
        What POST and GET /v1/metrics/rebuild answer in turn; the last answer repeats.
    workspaces
        The workspaces, their lifecycle jobs and logs.
    interruptions
        Answers or errors that come first, one for each call.
    """

    def __init__(self) -> None:
        self.calls: list[httpx2.Request] = []
        self.interruptions: list[httpx2.Response | Exception] = []
        self.definitions: dict[tuple[str, str], dict[str, Any]] = {}
        #: What GET /v1/request-types/{name}/plan answers; 404 for other names.
        self.plans: dict[str, RequestPlan] = {}
        self.refusals: dict[str, httpx2.Response] = {}
        self.lives: dict[str, list[Request]] = {}
        #: Why a retry is refused, by request.
        self.retry_refusals: dict[str, str] = {}
        self.attempts: list[Attempt] = []
        self.failures: list[FailedJob] = []
        self.logs: list[dict[str, str]] = []
        #: What GET /v1/requests/{id}/logs answers in turn; then it has nothing new.
        self.followed: list[list[JobLine]] = []
        self.metrics = ""
        self.rebuilds: list[Rebuild] = []
        self.explanation: dict[str, Any] = {}
        self.workers: list[list[WorkerView]] = []
        self.workspaces = FakeWorkspaces()
        self.on_submit: Callable[[dict[str, Any]], None] = lambda body: None

    def client(self) -> ShiftworkClient:
        transport = FakeTransport(self.handle)
        return ShiftworkClient(URL, TOKEN, transport=transport, sleep=lambda seconds: None)

    def bodies(self, method: str) -> list[Any]:
        return [json.loads(call.content) for call in self.calls if call.method == method]

    def handle(self, call: httpx2.Request) -> httpx2.Response:
        self.calls.append(call)
        if self.interruptions:
            interruption = self.interruptions.pop(0)
            if isinstance(interruption, Exception):
                raise interruption
            return interruption
        if call.url.path == "/stage/heartbeat":
            return httpx2.Response(200, json={"status": "ok"})
        if call.headers.get("Authorization") != f"Bearer {TOKEN}":
            return httpx2.Response(401, json={"message": "Unauthorized"})
        if call.url.path == "/stage/metrics":
            return httpx2.Response(200, text=self.metrics)
        parts = call.url.path.removeprefix("/stage/v1/").split("/")
        match call.method, parts:
            case "GET", [("request-types" | "job-types") as kinds]:
                kind = kinds.removesuffix("s")
                found = [d for (k, _), d in sorted(self.definitions.items()) if k == kind]
                return self._page(call, found)
            case "GET", ["job-types", name] if ("job-type", name) in self.definitions:
                return httpx2.Response(200, json=self.definitions["job-type", name])
            case "GET", ["request-types", name, "plan"]:
                if (plan := self.plans.get(name)) is not None:
                    return httpx2.Response(200, json=plan)
                return problem(404, f"there is no request-type {name!r}")
            case "PUT", [("request-types" | "job-types") as kinds, name]:
                return self._put(kinds.removesuffix("s"), name, json.loads(call.content))
            case "GET" | "POST", ["metrics", "rebuild"]:
                first, *rest = self.rebuilds
                self.rebuilds = rest or [first]
                return httpx2.Response(200, json=first)
            case "POST", ["requests"]:
                self.on_submit(json.loads(call.content))
                return httpx2.Response(201, json=self._next_of(next(iter(self.lives))))
            case "GET", ["requests"]:
                return self._page(call, [life[0] for life in self.lives.values()])
            case "POST", ["worker-registrations"]:
                return httpx2.Response(201, json={"token": "sw1.invited", "expires_at": 1769990460})
            case _, ["workers", *rest]:
                return self._on_workers(call, rest)
            case "GET", ["workspaces"]:
                return self._page(call, self.workspaces.items())
            case _, ["workspaces", name, *rest]:
                return self.workspaces.handle(call, name, rest)
            case "GET", ["lifecycle-jobs"]:
                return self._page(call, self.workspaces.jobs(call))
            case _, ["lifecycle-jobs", job_id, *rest]:
                return self.workspaces.handle_job(call, job_id, rest)
            case "GET", ["jobs", _, "logs"]:
                return self._page(call, self.logs)
            case _, ["requests", request_id, *rest] if request_id in self.lives:
                return self._on_request(call, request_id, rest)
        return problem(404, f"there is no {call.url.path}", "list them: GET /v1/requests")

    def _on_request(
        self, call: httpx2.Request, request_id: str, rest: list[str]
    ) -> httpx2.Response:
        match call.method, rest:
            case "GET", []:
                return httpx2.Response(200, json=self._next_of(request_id))
            case "GET", ["jobs"]:
                query = call.url.params
                wanted = [
                    a
                    for a in self.attempts
                    if query.get("step", str(a["step"])) == str(a["step"])
                    and query.get("status", a["status"]) == a["status"]
                ]
                return self._page(call, wanted)
            case "GET", ["failures"]:
                wanted_step = call.url.params.get("step")
                of_step = (f for f in self.failures if wanted_step in (None, str(f["step"])))
                return self._page(call, list(of_step))
            case "GET", ["explain"]:
                return httpx2.Response(200, json=self.explanation)
            case "GET", ["logs"]:
                lines = self.followed.pop(0) if self.followed else []
                answer = {"items": lines, "cursor": "c", "has_more": False}
                return httpx2.Response(200, json=answer)
            case "POST", ["retry"] if request_id in self.retry_refusals:
                return problem(409, self.retry_refusals[request_id])
            case "POST", [("cancel" | "retry") as verb]:
                status = {"cancel": "Cancelled", "retry": "Inprogress"}[verb]
                return httpx2.Response(200, json=request(request_id, status))
        return problem(404, "no such route")

    def _on_workers(self, call: httpx2.Request, rest: list[str]) -> httpx2.Response:
        if not rest:
            if not self.workers:
                raise KeyboardInterrupt
            is_last_page = int(call.url.params.get("next_token", 0)) + PAGE >= len(self.workers[0])
            found = self.workers.pop(0) if is_last_page else self.workers[0]
            return self._page(call, found)
        known = {w["worker_id"]: w for look in self.workers for w in look}
        if rest[0] not in known:
            return problem(404, f"there is no worker {rest[0]!r}", "list them: GET /v1/workers")
        match call.method, rest[1:]:
            case "GET", ["explain"]:
                return httpx2.Response(200, json=self.explanation)
            case "DELETE", []:
                return httpx2.Response(204)
            case "POST", [("drain" | "resume") as verb]:
                is_drained = verb == "drain"
                changed = {"active": not is_drained, "drained": is_drained}
                return httpx2.Response(200, json=known[rest[0]] | changed)
        return httpx2.Response(200, json=known[rest[0]])

    def _next_of(self, request_id: str) -> Request:
        life = self.lives[request_id]
        return life.pop(0) if len(life) > 1 else life[0]

    def _put(self, kind: str, name: str, body: dict[str, Any]) -> httpx2.Response:
        if name in self.refusals:
            return self.refusals[name]
        old = self.definitions.get((kind, name))
        version = old["version"] + 1 if old else 1
        added = {"kind": kind, "name": name, "version": version, "created_at": "2026-01-01"}
        self.definitions[kind, name] = added | body
        return httpx2.Response(200 if old else 201, json=added | body)

    @staticmethod
    def _page(call: httpx2.Request, items: list[Any]) -> httpx2.Response:
        start = int(call.url.params.get("next_token", 0))
        end = start + min(PAGE, int(call.url.params.get("limit", PAGE)))
        token = str(end) if end < len(items) else None
        return httpx2.Response(200, json={"items": items[start:end], "next_token": token})
