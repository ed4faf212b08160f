"""Target `http`: a call to a named service. The names and base URLs are set at deployment."""

from __future__ import annotations

import json
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import urllib3

from shiftwork_core.domain.definitions import JobType
from shiftwork_core.domain.outcomes import (
    MAX_RESULT_BYTES,
    Failed,
    JobError,
    Outcome,
    Retryable,
    completed,
)
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.templates import Search, TemplateFault, render, render_text
from shiftwork_core.ports import Clock, JobInput

#: How much of an answer that refuses is kept in the error.
_EXCERPT_CHARACTERS = 500
#: A service that asks for more patience than this is taken to mean no more than this.
_MAX_RETRY_AFTER_S = 86_400.0


class HttpTarget:
    """Calls services; never another host, never along a redirect."""

    def __init__(self, services: dict[str, str], search: Search, clock: Clock) -> None:
        self._services = services
        self._search = search
        self._clock = clock
        self._pool = urllib3.PoolManager(maxsize=100, retries=False)

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        """Send the request; the answer's JSON object is the result.

        The connection and each read wait at most the job type's `timeout_s`. 429, 5xx and a
        service that does not answer are recoverable, every other refusal is not.
        """
        spec = job_type.http or {}
        base = self._services.get(spec.get("service", ""))
        if base is None:
            known = ", ".join(sorted(self._services)) or "none"
            message = f"no service is named {spec.get('service')!r} (there are: {known})"
            return Failed(JobError("UnknownService", message))
        try:
            url, headers, body = self._request(base, spec, job)
        except TemplateFault as fault:
            return Failed(JobError("TemplateFault", str(fault)))
        try:
            response = self._pool.request(
                spec.get("method", "POST"),
                url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(total=job_type.timeout_s),
                redirect=False,
                preload_content=False,
            )
            content = response.read(MAX_RESULT_BYTES + 1, decode_content=True)
            response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            message = f"{spec['service']} did not answer: {error}"
            return Retryable(JobError(type(error).__name__, message))
        return self._outcome(spec["service"], response, content)

    def _request(
        self, base: str, spec: JsonObject, job: JobInput
    ) -> tuple[str, dict[str, str], bytes | None]:
        data = {"params": job.params, "extras": job.extras, "item": job.item}
        path = render_text(spec["path"], data, self._search, lambda text: quote(text, safe=""))
        if not {".", ".."}.isdisjoint(path.split("?")[0].split("/")):
            # Resolved, it would name another endpoint than the definition's.
            raise TemplateFault(f"path {path!r} would lead elsewhere")
        headers = {
            "Accept": "application/json",
            # The same for every attempt of the job, so that the service can tell a repetition.
            "Idempotency-Key": job.attempt.attempt_id.rsplit(".", 1)[0],
        }
        for name, template in (spec.get("headers") or {}).items():
            value = render_text(template, data, self._search)
            if "\r" in value or "\n" in value:
                raise TemplateFault(f"header {name!r} would contain a line break")
            headers[name] = value
        if "body" not in spec:
            return base.rstrip("/") + path, headers, None
        headers.setdefault("Content-Type", "application/json")
        body = json.dumps(render(spec["body"], data, self._search)).encode()
        return base.rstrip("/") + path, headers, body

    def _outcome(self, service: str, response: urllib3.BaseHTTPResponse, content: bytes) -> Outcome:
        status = response.status
        if 200 <= status < 300:
            if len(content) > MAX_RESULT_BYTES:
                message = f"{service} answered with more than {MAX_RESULT_BYTES:,} bytes"
                return Failed(JobError("ResultTooLarge", message))
            try:
                answer = json.loads(content) if content else None
            except ValueError:
                answer = None
            return completed(answer if isinstance(answer, dict) else None)
        excerpt = content[: 4 * _EXCERPT_CHARACTERS].decode(errors="replace")[:_EXCERPT_CHARACTERS]
        error = JobError(f"Http{status}", f"{service} answered {status}: {excerpt}".rstrip(": "))
        if status == 429 or status >= 500:
            return Retryable(error, self._retry_after_s(response.headers.get("Retry-After")))
        return Failed(error)

    def _retry_after_s(self, header: str | None) -> float | None:
        """Read seconds or an HTTP date; None if there is no such header, or it is neither."""
        if header is None:
            return None
        try:
            wait_s = float(header)
        except ValueError:
            try:
                moment = parsedate_to_datetime(header)
            except ValueError:
                return None
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            wait_s = (moment - self._clock()).total_seconds()
        return min(max(wait_s, 0.0), _MAX_RETRY_AFTER_S) if wait_s == wait_s else None
