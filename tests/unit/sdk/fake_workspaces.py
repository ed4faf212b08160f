"""The routes of workspaces and lifecycle jobs, in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from shiftwork.api.shapes import LifecycleJob, LifecycleLog, LogLevel, PlanEntry, Workspace
from tests.unit.sdk.problems import problem

#: Thursday, 12:13 in Berlin, the time zone of the command line in the tests.
NOW = datetime(2026, 11, 26, 11, 13, tzinfo=UTC)
ZONE = "Europe/Berlin"
OFFICE_HOURS = {
    "start": f"CRON_TZ={ZONE} 0 8 * * 1-5",
    "stop": f"CRON_TZ={ZONE} 0 20 * * 1-5",
}
DEFINITION: dict[str, Any] = {
    "driver": {"type": "ec2", "instance_ids": ["i-1", "i-2"]},
    "schedule": {"windows": [OFFICE_HOURS]},
}


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def workspace(name: str, state: str = "running", **given: Any) -> Workspace:
    view: dict[str, Any] = {
        "workspace_id": name,
        "state": state,
        "changed_at": "2026-11-26T07:00:12.000Z",
        "started_by": "schedule" if state == "running" else None,
        "deadline": None,
        "max_deadline": None,
        "override": None,
        "pending": {},
        "failures": 0,
        "blocked_until": None,
        "error": None,
        "detail": "",
        "looked_at": "2026-11-26T07:00:12.000Z",
        "created_at": "2026-11-01T09:00:00.000Z",
        "updated_at": "2026-11-26T07:00:12.000Z",
        "definition": DEFINITION,
    }
    return view | given  # type: ignore[return-value]


def pending(operation: str, at: str, job_id: str = "j-1", cause: str = "schedule") -> Any:
    return {operation: {"job_id": job_id, "at": at, "cause": cause}}


def job(job_id: str = "j-1", state: str = "pending", **given: Any) -> LifecycleJob:
    has_ended = state in ("completed", "failed")
    view: dict[str, Any] = {
        "id": job_id,
        "workspace_id": "dev",
        "operation": "start",
        "state": state,
        "deadline": "2026-11-26T11:13:00.000Z",
        "cause": "manual",
        "reason": "somebody asked for it",
        "attempt": 0 if state == "pending" else 1,
        "created_at": "2026-11-26T11:13:00.000Z",
        "updated_at": "2026-11-26T11:13:00.000Z",
        "started_at": None if state == "pending" else "2026-11-26T11:13:01.000Z",
        "cancelled_at": "2026-11-26T11:13:43.000Z" if state == "cancelled" else None,
        "completed_at": "2026-11-26T11:13:43.000Z" if has_ended else None,
        "error": "the driver refuses" if state == "failed" else None,
        "due_at": None if has_ended else "2026-11-26T11:13:00.000Z",
    }
    return view | given  # type: ignore[return-value]


def line(number: int, output: str, level: LogLevel = "info") -> LifecycleLog:
    return LifecycleLog(
        id=f"l-{number}",
        job_id="j-1",
        created_at=f"2026-11-26T11:13:{number:02}.000Z",
        level=level,
        output=output,
    )


def planned(at: str, operation: str | None, reason: str = "a window") -> PlanEntry:
    return {
        "at": at,
        "operation": operation,  # type: ignore[typeddict-item]
        "cause": "schedule" if operation else None,
        "reason": reason,
        "is_left_out": operation is None,
    }


class FakeWorkspaces:
    """Holds the workspaces, their jobs and logs, in the shapes of the API.

    Attributes
    ----------
    lives
        By job's id, what GET answers in turn, the last answer repeats; newest job first.
    logs
        By job's id, what its log has in turn; the last state repeats.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Workspace] = {}
        self.lives: dict[str, list[LifecycleJob]] = {}
        self.logs: dict[str, list[list[LifecycleLog]]] = {}
        self.plan: list[PlanEntry] = []
        self.calls = ["ec2:StartInstances i-1, i-2"]
        self.explanation: dict[str, Any] = {}
        self.refusals: dict[str, httpx2.Response] = {}

    def put(self, *rows: Workspace) -> None:
        self.rows |= {row["workspace_id"]: row for row in rows}

    # -- workspaces ----------------------------------------------------------------------------

    def items(self) -> list[Workspace]:
        return [row for _, row in sorted(self.rows.items())]

    def handle(self, call: httpx2.Request, name: str, rest: list[str]) -> httpx2.Response:
        body = json.loads(call.content) if call.content else {}
        if (call.method, rest) == ("PUT", []):
            return self._put(name, body)
        row = self.rows.get(name)
        if row is None:
            advice = "list what there is: GET /v1/workspaces"
            return problem(404, f"there is no workspace {name!r}", advice)
        match call.method, rest:
            case "GET", []:
                pass
            case "DELETE", []:
                del self.rows[name]
                return httpx2.Response(204)
            case "POST", [("start" | "stop") as operation]:
                return self._switch(call, row, operation)
            case "PUT", ["override"]:
                return self._override(row, body)
            case "DELETE", ["override"]:
                row["override"] = None
            case "POST", ["activity"]:
                if row["deadline"]:
                    row["deadline"] = iso(NOW + timedelta(hours=1))
            case "PUT", ["deadline"]:
                return self._deadline(row, body)
            case "GET", ["plan"]:
                days = int(call.url.params.get("days", 30))
                if not 1 <= days <= 90:
                    return problem(422, "bad query", days="must be from 1 to 90")
                return httpx2.Response(200, json={"items": self.plan})
            case "GET", ["explain"]:
                return httpx2.Response(200, json=self.explanation)
            case _:
                return problem(404, f"there is no {call.url.path}")
        return httpx2.Response(200, json=row)

    def _put(self, name: str, body: dict[str, Any]) -> httpx2.Response:
        if name in self.refusals:
            return self.refusals[name]
        is_new = name not in self.rows
        if is_new:
            self.rows[name] = workspace(name, "unknown", changed_at=None, looked_at=None)
        self.rows[name]["definition"] = body
        return httpx2.Response(201 if is_new else 200, json=self.rows[name])

    def _switch(self, call: httpx2.Request, row: Workspace, operation: str) -> httpx2.Response:
        if call.url.params.get("dry_run") == "true":
            seen = {"state": row["state"], "detail": row["detail"], "calls": self.calls}
            return httpx2.Response(200, json=seen)
        if not self.lives:
            self.lives["j-1"] = [job(workspace_id=row["workspace_id"], operation=operation)]
        return httpx2.Response(202, json=next(iter(self.lives.values()))[0])

    def _override(self, row: Workspace, body: dict[str, Any]) -> httpx2.Response:
        since = datetime.fromisoformat(body.get("since") or iso(NOW))
        until = datetime.fromisoformat(body["until"])
        if until <= max(NOW, since):
            fault = {"until": f"lies before {iso(max(NOW, since))}"}
            return problem(422, "the override would never hold", "give a later `until`", **fault)
        row["override"] = {
            "desired": body["desired"],
            "since": iso(since),
            "until": iso(until),
            "reason": body.get("reason", ""),
        }
        return httpx2.Response(200, json=row)

    def _deadline(self, row: Workspace, body: dict[str, Any]) -> httpx2.Response:
        name = row["workspace_id"]
        if row["state"] != "running":
            detail = f"workspace {name} is {row['state']}, so there is no stop to move"
            return problem(409, detail, f"start it first: POST /v1/workspaces/{name}/start")
        moment = datetime.fromisoformat(body["deadline"])
        if moment < NOW + timedelta(minutes=30):
            fault = {"deadline": f"must be at {iso(NOW + timedelta(minutes=30))} or later"}
            advice = f"to stop it now: POST /v1/workspaces/{name}/stop"
            return problem(422, "the deadline is less than 30 minutes ahead", advice, **fault)
        row["deadline"] = iso(moment)
        return httpx2.Response(200, json=row)

    # -- lifecycle jobs ------------------------------------------------------------------------

    def jobs(self, call: httpx2.Request) -> list[LifecycleJob]:
        query = call.url.params
        return [
            found
            for (found, *_) in self.lives.values()
            if query.get("workspace", found["workspace_id"]) == found["workspace_id"]
            and query.get("state", found["state"]) == found["state"]
        ]

    def handle_job(self, call: httpx2.Request, job_id: str, rest: list[str]) -> httpx2.Response:
        life = self.lives.get(job_id)
        if life is None:
            advice = "list what there is: GET /v1/lifecycle-jobs"
            return problem(404, f"there is no lifecycle job {job_id!r}", advice)
        match call.method, rest:
            case "GET", []:
                return httpx2.Response(200, json=life.pop(0) if len(life) > 1 else life[0])
            case "GET", ["logs"]:
                looks = self.logs.get(job_id, [[]])
                lines = looks.pop(0) if len(looks) > 1 else looks[0]
                return httpx2.Response(200, json={"items": lines, "next_token": None})
            case "POST", ["cancel"]:
                if life[0]["state"] in ("completed", "failed"):
                    state = life[0]["state"]
                    return problem(409, f"lifecycle job {job_id} has {state} already")
                ended = {"state": "cancelled", "cancelled_at": iso(NOW), "due_at": None}
                life[:] = [life[0] | ended]  # type: ignore[list-item]
                return httpx2.Response(200, json=life[0])
        return problem(404, f"there is no {call.url.path}")
