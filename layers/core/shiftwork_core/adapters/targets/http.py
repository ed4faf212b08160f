"""Run a job by calling a named service, whose base URL is set at deployment: target `http`."""

from __future__ import annotations

import json
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from shiftwork_core.adapters.http_guard import ForbiddenAddress, Unsendable
from shiftwork_core.adapters.named_services import (
    IDEMPOTENCY_KEY,
    Answer,
    NamedServices,
    NoAnswer,
    TooMuch,
    UnknownService,
)
from shiftwork_core.domain.json_bounds import TOO_DEEP
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.budgets import Budget
from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.outcomes import (
    MAX_RESULT_BYTES,
    Failed,
    JobError,
    Outcome,
    Retryable,
    completed,
)
from shiftwork_core.domain.requests.templates import Renderer, Search, TemplateFault
from shiftwork_core.ports.world import Clock, JobInput, JobTarget

#: A service may ask for a longer wait; this is the longest that is granted.
_MAX_RETRY_AFTER_S = 86_400.0


class HttpTarget(JobTarget):
    """Calls a service, never another host; follows no redirect."""

    def __init__(self, services: NamedServices, search: Search, clock: Clock) -> None:
        self._services = services
        self._search = search
        self._clock = clock

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        """Send the request; the answer's JSON object is the result.

        All of it takes at most the job type's `timeout_s`. 429, 5xx and a service that does not
        answer are recoverable; every other refusal is not, nor is a call that cannot be made, or
        an answer that is too long.
        """
        spec = job_type.http or {}
        try:
            path, headers, body = self._request(spec, job)
            answer = self._services.call(
                spec.get("service", ""),
                spec.get("method", "POST"),
                path,
                headers=headers,
                body=body,
                timeout_s=job_type.timeout_s,
                max_bytes=MAX_RESULT_BYTES,
            )
        except UnknownService as error:
            return Failed(JobError("UnknownService", str(error)))
        except ForbiddenAddress as error:
            return Failed(JobError("ForbiddenAddress", str(error)))
        except (TemplateFault, Unsendable) as fault:
            return Failed(JobError("TemplateFault", str(fault)))
        except TooMuch as error:
            return Failed(JobError("ResultTooLarge", str(error)))
        except NoAnswer as error:
            return Retryable(JobError(error.reason, str(error)))
        return self._outcome(answer)

    def _request(self, spec: JsonObject, job: JobInput) -> tuple[str, dict[str, str], bytes | None]:
        data = {"params": job.params, "extras": job.extras, "item": job.item}
        renderer = Renderer(self._search, Budget())
        path = renderer.render_text(spec.get("path", "/"), data, lambda text: quote(text, safe=""))
        headers = {
            "Accept": "application/json",
            # The same for every attempt of the job, so that the service can recognise a repetition.
            IDEMPOTENCY_KEY: job.attempt.attempt_id.rsplit(".", 1)[0],
        }
        for name, template in (spec.get("headers") or {}).items():
            headers[name] = renderer.render_text(template, data)
        if "body" not in spec:
            return path, headers, None
        headers.setdefault("Content-Type", "application/json")
        return path, headers, json.dumps(renderer.render(spec["body"], data)).encode()

    def _outcome(self, answer: Answer) -> Outcome:
        if answer.is_success:
            if not answer.is_whole:
                message = f"{answer.service} answered with more than {MAX_RESULT_BYTES:,} bytes"
                return Failed(JobError("ResultTooLarge", message))
            try:
                result = json.loads(answer.content) if answer.content else None
            except ValueError:
                result = None
            except RecursionError:
                message = f"{answer.service} answered JSON that is {TOO_DEEP}"
                return Failed(JobError("InvalidResult", message))
            return completed(result if isinstance(result, dict) else None)
        error = JobError(f"Http{answer.status}", str(answer))
        if answer.is_passing:
            return Retryable(error, self._retry_after_s(answer.headers.get("Retry-After")))
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
            except (ValueError, OverflowError):
                return None
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            wait_s = (moment - self._clock()).total_seconds()
        return min(max(wait_s, 0.0), _MAX_RETRY_AFTER_S) if wait_s == wait_s else None
