"""Everything a request consists of, as the services share it: rows, attempts, types, payloads."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shiftwork_core.domain.requests.definitions import JobType, RequestType
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    Request,
    Step,
    StepStatus,
)
from shiftwork_core.domain.requests.step_state import TALLIED, StepState, classify_step
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.stores import RequestStore
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.definitions import Definitions
from shiftwork_core.services.requests.payloads import Payloads

if TYPE_CHECKING:
    from shiftwork_core.domain.requests.manifests.items import Item, ItemFault
    from shiftwork_core.services.requests.manifests import Manifests

logger = logging.getLogger("shiftwork.requests")


@dataclass(frozen=True, slots=True)
class RequestRecords:
    """Where a request is kept: its row and steps, its attempts, its types, and its JSON."""

    requests: RequestStore
    jobs: JobStore
    definitions: Definitions
    payloads: Payloads
    #: Built only if a request uses one.
    manifests: Callable[[], Manifests]

    def type_of(self, request: Request) -> RequestType:
        """Return the version of the request type that the request follows."""
        return self.definitions.request_type(request.type, request.type_version)

    def job_type_of(self, attempt: Attempt) -> JobType:
        """Return the version of the job type that the attempt was planned with."""
        return self.definitions.job_type(attempt.type, attempt.type_version)

    def keep(self, request: Request, now: datetime) -> bool:
        """Let what a retry needs of it outlive the request, should it end now.

        These are its blobs, and the rows of its step, and of those before and behind of which jobs
        run again then.

        Return whether nothing is left to do: a call has a bound. For a young request it makes no
        call.
        """
        if self.payloads.is_young(request, now):
            return True
        for step in self._needed(request):
            self.jobs.prolong(request.request_id, step.index, now)
            if step.status is StepStatus.COMPLETED:
                # Its row lives as long from now on.
                self.requests.close_step(step, step.status, step.counts, now, step.tolerated)
        return self.payloads.renew(request, now)

    def _needed(self, request: Request) -> list[Step]:
        """Return the steps that the request, or a retry of it, goes through yet, if planned."""
        steps = self.requests.steps(request.request_id)
        first = [request.current_step, *(step.index for step in steps if step.tolerated)]
        return [step for step in steps if step.index >= min(first)]

    def add_tally(
        self, request_id: str, key: AttemptKey, left: Iterable[Mapping[str, int]], now: datetime
    ) -> None:
        """Add how jobs of a wide step were left to its tally, in one write; `key` is of one.

        If that fails, what is shown of the step is too low until it is settled.
        """
        counted: Counter[str] = Counter()
        for counts in left:
            counted += Counter({name: counts[name] for name in TALLIED if name in counts})
        if not counted:
            return
        try:
            self.requests.add_tally(request_id, key, counted, now)
        except Exception:  # What is only shown must not keep an outcome from arriving.
            extra = {"request_id": request_id, **counted}
            logger.warning("outcomes not tallied", extra=extra, exc_info=True)

    def items_of(self, attempt: Attempt) -> list[Item | ItemFault]:
        """Return the items of an attempt's block, by place.

        Raises
        ------
        ManifestFault
            If they are in a manifest that is not there any more, or has changed.
        """
        size = attempt.block.size if attempt.block is not None else 0
        kept = self.payloads.unpack(attempt.item)
        return self.manifests().items(attempt.request_id, kept, size)

    def with_values(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Return attempts with the values that whoever reads a whole step leaves out of blocks."""
        lacking = [a for a in attempts if a.block is not None and a.item is None]
        if not lacking:
            return list(attempts)
        found = self.jobs.get_many([(attempt.request_id, attempt.key) for attempt in lacking])
        rows = {row.key: row for row in found}
        return [rows.get(attempt.key, attempt) for attempt in attempts]

    def read_step(self, request: Request, runtime: Runtime) -> StepState:
        """Read the attempts of the request's current step, and classify them as of now."""
        attempts = self.jobs.of_step(request.request_id, request.current_step)
        return classify_step(attempts, request.generation, runtime.clock(), runtime.lease)
