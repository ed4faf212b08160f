"""Note each HTTP request and each task of a measured process in a file.

Conductor's SDK sends through httpx and our workers through its successor, httpx2: both are
counted in the same place, below all retries.
"""

from __future__ import annotations

import os
import time
from functools import wraps
from typing import Any

import httpx
import httpx2

NOTES = "BENCH_NOTES"


def note(kind: str, at: float, *words: object) -> None:
    """Add a line to the notes; small lines that several processes append do not mix."""
    line = " ".join(map(str, (kind, at, *words))) + "\n"
    file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def note_requests() -> None:
    """Have both libraries note their requests from now on: when sent, for how long, what."""
    for library in (httpx, httpx2):
        _note_requests_of(library)


def _note_requests_of(library: Any) -> None:
    send, send_async = (
        library.HTTPTransport.handle_request,
        library.AsyncHTTPTransport.handle_async_request,
    )

    def note_request(request: Any, sent_at: float) -> None:
        note("request", sent_at, time.time() - sent_at, request.method, request.url.path)

    @wraps(send)
    def noted(self: Any, request: Any) -> Any:
        sent_at = time.time()
        try:
            return send(self, request)
        finally:
            note_request(request, sent_at)

    @wraps(send_async)
    async def noted_async(self: Any, request: Any) -> Any:
        sent_at = time.time()
        try:
            return await send_async(self, request)
        finally:
            note_request(request, sent_at)

    library.HTTPTransport.handle_request = noted
    library.AsyncHTTPTransport.handle_async_request = noted_async
