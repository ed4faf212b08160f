"""What the routes of definitions return: the shapes, and the view of a definition."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from answers import Output, Timestamp
from inputs import Name
from shiftwork_core.domain import quotas
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.definitions import Definition

if TYPE_CHECKING:
    from shiftwork_core.services.requests.estimates.estimate import StepEstimate
    from shiftwork_core.services.requests.estimates.plans import RequestPlan


class DefinitionAnswer(BaseModel):
    """A definition: what its author wrote, with its name and version."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["request-type", "job-type"]
    name: Name
    version: int
    created_at: Timestamp


class DefinitionPage(Output):
    """Some definitions, each in its latest version."""

    items: list[DefinitionAnswer]
    next_token: str | None


def definition_view(definition: Definition) -> JsonObject:
    """Return a definition: its body, with its kind, name and version."""
    return {
        "kind": definition.kind.value,
        "name": definition.name,
        "version": definition.version,
        "created_at": definition.created_at,
        **definition.body,
    }


class NoticeAnswer(Output):
    """A quota or bound that is exceeded, and what to change."""

    level: Literal["warning", "refusal"] = Field(description="a refused request fails")
    step: str
    job: str | None = Field(description="the entry; null: the step as a whole")
    quota: str
    figure: float
    bound: float
    message: str
    change: str


class StepEstimateAnswer(Output):
    """What a step takes."""

    name: str
    jobs: int
    rows: int
    batches: int
    way: Literal["called", "map", "wide", "wide_slow", "workers"] = Field(
        description="who sets its batches going: AdvanceRequest, a Map, a distributed Map with "
        "Express or Standard children, or workers that poll"
    )
    at_once: int = Field(description="batches that run at once at most")
    write_units: float
    read_units: float
    transitions: int
    busiest_write_units: float = Field(
        description="of the busiest partition in its busiest second, at most; it has 1,000"
    )
    seconds: float


class RequestPlanAnswer(Output):
    """What a request takes that is submitted now, if no job is retried."""

    type: str
    version: int
    items: int
    jobs: int
    rows: int
    write_units: float
    read_units: float
    transitions: int
    busiest_write_units: float
    busiest_write_units_bound: int
    history_events: int
    history_events_bound: int
    invocations: int
    seconds: float
    usd: dict[str, float] = Field(description="by kind of use, at list prices")
    total_usd: float
    steps: list[StepEstimateAnswer]
    notices: list[NoticeAnswer] = Field(description="refusals first")
    limits: list[NoticeAnswer] = Field(description="what a wider request of the type would meet")


def plan_view(plan: RequestPlan) -> JsonObject:
    """Return a plan."""
    found = plan.estimate
    return {
        "type": plan.name,
        "version": plan.version,
        "items": found.load.items,
        "jobs": found.jobs,
        "rows": found.rows,
        "write_units": found.write_units,
        "read_units": found.read_units,
        "transitions": found.transitions,
        "busiest_write_units": round(found.busiest_write_units, 1),
        "busiest_write_units_bound": quotas.PARTITION_WRITE_UNITS_A_SECOND,
        "history_events": found.events,
        "history_events_bound": quotas.HISTORY_EVENTS,
        "invocations": found.invocations,
        "seconds": round(found.seconds, 3),
        "usd": {kind: round(usd, 9) for kind, usd in found.usd.items() if usd},
        "total_usd": round(sum(found.usd.values()), 9),
        "steps": [_step_view(step) for step in found.steps],
        "notices": [asdict(notice) for notice in plan.notices],
        "limits": [asdict(notice) for notice in plan.limits],
    }


def _step_view(step: StepEstimate) -> JsonObject:
    shape = step.shape
    return {
        "name": shape.name,
        "jobs": shape.jobs,
        "rows": shape.rows,
        "batches": shape.batch_count,
        "way": shape.way.value,
        "at_once": shape.at_once,
        "write_units": step.write_units,
        "read_units": step.read_units,
        "transitions": step.transitions,
        "busiest_write_units": round(step.busiest_write_units, 1),
        "seconds": round(step.seconds, 3),
    }
