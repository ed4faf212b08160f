"""Build problem documents, as the API sends them."""

from __future__ import annotations

import httpx2


def problem(status: int, detail: str, next_step: str = "", **errors: str) -> httpx2.Response:
    content = {
        "type": "https://shiftwork.dev/problems/x",
        "title": "x",
        "status": status,
        "detail": detail,
        "errors": [{"path": path, "message": message} for path, message in errors.items()],
        "next": next_step,
    }
    return httpx2.Response(status, json=content)
