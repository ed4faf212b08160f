"""Submit requests that switch workspaces, for driver `request`."""

from __future__ import annotations

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.records import Request
from shiftwork_core.errors import NotFound
from shiftwork_core.services.requests.requests import Requests, Submission


class Submitter:
    """Submits requests as a client of the API does, with every check that a client meets."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def submit(self, type: str, params: JsonObject, idempotency_key: str) -> str:
        """Submit a request; return its id. A later call with the same key returns the same id."""
        submission = Submission(type=type, params=params, extras={})
        request, _ = self._requests.submit(submission, idempotency_key)
        return request.request_id

    def get(self, request_id: str) -> Request | None:
        """Return the request; None if there is none, or its retention is over."""
        try:
            return self._requests.get(request_id)
        except NotFound:
            return None
