"""The client of Shiftwork's HTTP API."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import httpx

from shiftwork.config import Config
from shiftwork.errors import ApiError, ShiftworkError, Unreachable
from shiftwork.views import (
    Attempt,
    AttemptPage,
    Explanation,
    JsonObject,
    Kind,
    LogLine,
    Request,
    RequestPage,
    RequestSummary,
)

#: Waits of at most these, in seconds, between tries: a stack that is down is reported soon.
_BACKOFF_S = (0.2, 0.4, 0.8)
#: The longest wait that a Retry-After is granted.
_MAX_RETRY_AFTER_S = 20.0
_PAGE = 100


class ShiftworkClient:
    """Calls the API; repeats what a repetition cannot harm.

    Parameters
    ----------
    url, token
        Of the API; by default SHIFTWORK_URL and SHIFTWORK_TOKEN, else what the local stack wrote
        into `.shiftwork/local.env`, looked for in the current folder and above.
    timeout_s
        For one call.

    Raises
    ------
    NotConfigured
        If nothing names a URL.
    Unreachable, ApiError
        By every method, if no answer comes, or one that is an error.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config = Config.load(url, token)
        self._sleep = sleep
        address = httpx.URL(self.config.url)
        headers = {"Accept": "application/json"}
        if self.config.token:
            headers["Authorization"] = f"Bearer {self.config.token}"
        self._http = httpx.Client(
            base_url=address,
            headers=headers,
            timeout=timeout_s,
            transport=transport,
            # A proxy of the environment cannot reach this machine's own addresses.
            trust_env=address.host not in ("127.0.0.1", "localhost", "::1"),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    # -- the service -----------------------------------------------------------------------------

    def heartbeat(self) -> JsonObject:
        """Return what the API says of itself; it answers without a token too."""
        response = self._send("GET", "/heartbeat")
        try:
            return dict(response.json())
        except ValueError:
            return {}

    # -- definitions -----------------------------------------------------------------------------

    def definitions(self, kind: Kind) -> Iterator[JsonObject]:
        """Yield the latest version of every definition of a kind."""
        return self._items(f"/v1/{kind}s", {})

    def definition(self, kind: Kind, name: str) -> JsonObject:
        """Return the latest version."""
        found: JsonObject = self._json("GET", f"/v1/{kind}s/{_quoted(name)}")
        return found

    def put_definition(self, kind: Kind, name: str, body: JsonObject) -> JsonObject:
        """Make `body` the latest version, and return it. An equal body keeps its version."""
        stored: JsonObject = self._json("PUT", f"/v1/{kind}s/{_quoted(name)}", json=body)
        return stored

    def delete_definition(self, kind: Kind, name: str) -> None:
        """Delete it. Requests that were submitted before go on with theirs."""
        self._send("DELETE", f"/v1/{kind}s/{_quoted(name)}")

    # -- requests --------------------------------------------------------------------------------

    def submit(
        self,
        type: str,
        params: JsonObject | None = None,
        *,
        extras: JsonObject | None = None,
        version: int | None = None,
        correlation_id: str | None = None,
        priority: int | None = None,
        start_at: datetime | str | None = None,
        idempotency_key: str | None = None,
    ) -> Request:
        """Submit a request and return it.

        A call that got lost is repeated under the same key, so that there is one request. Give a
        key of your own to say the same across processes: the same submission returns the request
        that it made before.
        """
        if isinstance(start_at, datetime):
            start_at = start_at.astimezone(UTC).isoformat()
        optional = {
            "extras": extras,
            "version": version,
            "correlation_id": correlation_id,
            "priority": priority,
            "start_at": start_at,
        }
        body = {"type": type, "params": params or {}} | _given(optional)
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        request: Request = self._json("POST", "/v1/requests", json=body, headers=headers)
        return request

    def get(self, request_id: str) -> Request:
        """Return the request, its steps with their counts."""
        request: Request = self._json("GET", f"/v1/requests/{_quoted(request_id)}")
        return request

    def list(
        self,
        *,
        status: str | None = None,
        type: str | None = None,
        limit: int = _PAGE,
        next_token: str | None = None,
    ) -> RequestPage:
        """Return a page of requests, newest first."""
        query = _given({"status": status, "type": type, "limit": limit, "next_token": next_token})
        page: RequestPage = self._json("GET", "/v1/requests", params=query)
        return page

    def list_all(
        self, *, status: str | None = None, type: str | None = None
    ) -> Iterator[RequestSummary]:
        """Yield requests, newest first, page after page."""
        return self._items("/v1/requests", _given({"status": status, "type": type}))

    def jobs(
        self, request_id: str, *, step: int | None = None, status: str | None = None
    ) -> Iterator[Attempt]:
        """Yield the request's attempts in order of step, job and attempt, page after page."""
        query = _given({"step": step, "status": status})
        return self._items(f"/v1/requests/{_quoted(request_id)}/jobs", query)

    def jobs_page(
        self,
        request_id: str,
        *,
        step: int | None = None,
        status: str | None = None,
        limit: int = _PAGE,
        next_token: str | None = None,
    ) -> AttemptPage:
        """Return a page of the request's attempts."""
        query = _given({"step": step, "status": status, "limit": limit, "next_token": next_token})
        path = f"/v1/requests/{_quoted(request_id)}/jobs"
        page: AttemptPage = self._json("GET", path, params=query)
        return page

    def cancel(self, request_id: str) -> Request:
        """Cancel the request; once this has returned, none of its jobs starts any more."""
        request: Request = self._json("POST", f"/v1/requests/{_quoted(request_id)}/cancel")
        return request

    def retry(self, request_id: str) -> Request:
        """Run again what failed, then go on. Not repeated once it may have arrived."""
        path = f"/v1/requests/{_quoted(request_id)}/retry"
        request: Request = self._json("POST", path, is_repeatable=False)
        return request

    def explain(self, request_id: str) -> Explanation:
        """Return why the request stands where it stands."""
        path = f"/v1/requests/{_quoted(request_id)}/explain"
        explanation: Explanation = self._json("GET", path)
        return explanation

    def job_logs(self, attempt_id: str) -> Iterator[LogLine]:
        """Yield what the attempt logged."""
        return self._items(f"/v1/jobs/{_quoted(attempt_id)}/logs", {})

    # -- calls -----------------------------------------------------------------------------------

    def _items(self, path: str, query: JsonObject) -> Iterator[Any]:
        token = None
        while True:
            page_query = query | {"limit": _PAGE} | _given({"next_token": token})
            page = self._json("GET", path, params=page_query)
            yield from page["items"]
            token = page.get("next_token")
            if not token:
                return

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._send(method, path, **arguments)
        try:
            return response.json()
        except ValueError as error:
            raise ShiftworkError(
                f"{self.config.url} answers, but not as Shiftwork does",
                "See whether SHIFTWORK_URL is the API's with: shiftwork status",
            ) from error

    def _send(
        self, method: str, path: str, *, is_repeatable: bool = True, **arguments: Any
    ) -> httpx.Response:
        """Return the answer, after some tries if it takes them."""
        for longest_s in _BACKOFF_S:
            try:
                return self._send_once(method, path, **arguments)
            except (Unreachable, ApiError) as error:
                if not _may_repeat(error, is_repeatable):
                    raise
                asked_s = getattr(error, "retry_after_s", None) or 0.0
            self._sleep(random.uniform(0, longest_s) + min(asked_s, _MAX_RETRY_AFTER_S))
        return self._send_once(method, path, **arguments)

    def _send_once(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            is_sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            reason = str(error) or type(error).__name__
            raise Unreachable(self.config.url, reason, is_sent=is_sent) from error
        if response.is_success:
            return response
        raise ApiError.of(response)


def _may_repeat(error: ShiftworkError, is_repeatable: bool) -> bool:
    """Whether the same call may be sent again: it did not arrive, or arriving twice is harmless."""
    match error:
        case Unreachable():
            return is_repeatable or not error.is_sent
        case ApiError(status=429):
            return True
        case ApiError(status=status):
            return is_repeatable and status in (500, 502, 503, 504)
        case _:
            return False


def _given(values: JsonObject) -> JsonObject:
    return {name: value for name, value in values.items() if value is not None}


def _quoted(name: str) -> str:
    return quote(name, safe="")
