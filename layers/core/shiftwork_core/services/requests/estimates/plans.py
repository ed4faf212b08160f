"""Plan a request of a deployed type without submitting it."""

from __future__ import annotations

from dataclasses import dataclass

from shiftwork_core.domain.requests.definitions import JobType, Kind, RequestType
from shiftwork_core.services.requests.definitions import Definitions
from shiftwork_core.services.requests.estimates.estimate import Estimate, estimate
from shiftwork_core.services.requests.estimates.notices import Notice, limits_of, notices_of
from shiftwork_core.services.requests.estimates.shapes import Workload


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """What a request would take, what stands against it, and against a wider one of its type."""

    name: str
    version: int
    estimate: Estimate
    notices: list[Notice]
    limits: list[Notice]


def plan_request(
    definitions: Definitions, name: str, version: int | None, load: Workload
) -> RequestPlan:
    """Return the plan of a request that would be submitted now.

    Raises
    ------
    NotFound
        If there is no such type or version.
    Invalid
        If it names job types that are gone.
    """
    stored = definitions.get(Kind.REQUEST_TYPE, name, version)
    kind = RequestType.from_body(name, stored.version, stored.body)
    pinned = definitions.pin_job_types(stored.body)
    types: dict[str, JobType] = {
        job_type: definitions.job_type(job_type, number) for job_type, number in pinned.items()
    }
    found = estimate(kind, types, load)
    limits = limits_of(kind, types, stored.body.get("params"))
    return RequestPlan(name, stored.version, found, notices_of(found), limits)
