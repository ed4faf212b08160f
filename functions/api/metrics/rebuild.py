"""Routes of a rebuild of the counters: begin one, and see how far it is."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import BaseModel, Field

from answers import answer
from operations import operation
from shiftwork_core import bootstrap
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.times import to_iso
from shiftwork_core.ports.metrics import CounterState
from shiftwork_core.services.metrics.rebuild import Rebuilder

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


class RebuildAnswer(BaseModel):
    """The counters, and the rebuild of them that is under way."""

    status: Literal["none", "waiting", "counting"] = Field(
        description="none is under way; it waits for what is being written; it counts rows"
    )
    since: str | None = Field(description="when the counters were begun, or rebuilt last")
    gaps: dict[str, str] = Field(description="by table, since when changes may not be counted")
    cut: str | None = Field(description="what happened before this is counted from the rows")
    reads_from: str | None = Field(description="when it begins to read rows")
    table: str | None = Field(description="the table whose rows it counts")
    rows: int = Field(description="how many rows it has counted")


@cache
def rebuilder() -> Rebuilder:
    """Return the rebuilder."""
    return bootstrap.metrics.rebuilder()


@router.post(
    "/v1/metrics/rebuild",
    **operation(
        "rebuildCounters",
        "Count all rows again",
        {202: ("The rebuild that is under way, this call's or an earlier one's", RebuildAnswer)},
    ),
)
def begin() -> Response[str]:
    """Begin a rebuild, unless one is under way. MeasurePlatform goes on with it each minute."""
    return answer(_view(rebuilder().begin()), HTTPStatus.ACCEPTED)


@router.get(
    "/v1/metrics/rebuild",
    **operation("getRebuild", "See how far a rebuild is", {200: ("The counters", RebuildAnswer)}),
)
def see() -> Response[str]:
    """See how far a rebuild is."""
    return answer(_view(rebuilder().state()))


def _view(state: CounterState | None) -> JsonObject:
    rebuild = None if state is None else state.rebuild
    is_waiting = rebuild is not None and bootstrap.world.now() < rebuild.scan_from
    return {
        "status": "none" if rebuild is None else "waiting" if is_waiting else "counting",
        "since": None if state is None else to_iso(state.since),
        "gaps": {} if state is None else {t.value: to_iso(at) for t, at in state.gaps.items()},
        "cut": None if rebuild is None else to_iso(rebuild.cut),
        "reads_from": None if rebuild is None else to_iso(rebuild.scan_from),
        "table": None if rebuild is None or rebuild.table is None else rebuild.table.value,
        "rows": 0 if rebuild is None else rebuild.rows,
    }
