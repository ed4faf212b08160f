"""An in-memory server with the routes of worker records."""

from __future__ import annotations

import json
from typing import Any

import httpx2


class FakeRecords:
    """Keeps records, and issues tokens that expire when the test says so.

    Attributes
    ----------
    refused
        Tokens that are good for nothing any more.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.record: dict[str, Any] = {}
        self.refused: set[str] = set()
        self.failures: list[httpx2.Response] = []
        self.tokens = 0

    def handle(self, call: httpx2.Request) -> httpx2.Response:
        token = call.headers["Authorization"].removeprefix("Bearer ")
        body = json.loads(call.content or b"{}")
        self.calls.append((call.method, call.url.path, body))
        if self.failures:
            return self.failures.pop(0)
        if token in self.refused:
            return httpx2.Response(401, json={"detail": "expired"})
        match call.method, call.url.path.split("/")[2:]:
            case "POST", ["worker-registrations"] if token == "a-token":
                return httpx2.Response(201, json={"token": "once", "expires_at": 0})
            case "POST", ["workers"] if token == "once":
                self.record |= body | {"status": "idle", "error": None}
                return self._with_token(201)
            case "POST", ["workers", _, "refresh"]:
                self.record |= body
                return self._with_token(200)
            case "PUT", ["workers", _]:
                self.record |= body
                return httpx2.Response(200, json=self.record)
        return httpx2.Response(403, json={"detail": f"not with {token}"})

    def _with_token(self, status: int) -> httpx2.Response:
        self.tokens += 1
        answer = {
            "worker": self.record | {"worker_id": self.record["hostname"]},
            "token": f"worker-{self.tokens}",
            "expires_at": 0,
            "check_in_s": 30,
        }
        return httpx2.Response(status, json=answer)

    def paths(self, method: str) -> list[str]:
        return [path for verb, path, _ in self.calls if verb == method]
