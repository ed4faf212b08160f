"""Everything a request consists of, as the services share it: rows, attempts, types, payloads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shiftwork_core.domain.requests.definitions import JobType, RequestType
from shiftwork_core.domain.requests.records import Attempt, Request
from shiftwork_core.domain.requests.step_state import StepState, classify_step
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.stores import RequestStore
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.definitions import Definitions
from shiftwork_core.services.requests.payloads import Payloads


@dataclass(frozen=True, slots=True)
class RequestRecords:
    """Where a request is kept: its row and steps, its attempts, its types, and its JSON."""

    requests: RequestStore
    jobs: JobStore
    definitions: Definitions
    payloads: Payloads

    def type_of(self, request: Request) -> RequestType:
        """Return the version of the request type that the request follows."""
        return self.definitions.request_type(request.type, request.type_version)

    def job_type_of(self, attempt: Attempt) -> JobType:
        """Return the version of the job type that the attempt was planned with."""
        return self.definitions.job_type(attempt.type, attempt.type_version)

    def keep(self, request: Request, now: datetime) -> bool:
        """Let the attempts of its step, and its blobs, outlive the request, should it end now.

        Return whether nothing is left to do: a call has a bound. For a young request it makes no
        call.
        """
        if self.payloads.is_young(request, now):
            return True
        self.jobs.prolong(request.request_id, request.current_step, now)
        return self.payloads.renew(request, now)

    def read_step(self, request: Request, runtime: Runtime) -> StepState:
        """Read the attempts of the request's current step, and classify them as of now."""
        attempts = self.jobs.of_step(request.request_id, request.current_step)
        return classify_step(attempts, request.generation, runtime.clock(), runtime.lease)
