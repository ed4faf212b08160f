"""The route of the counters minute by minute."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import BaseModel, Field

from answers import answer
from operations import operation
from shiftwork_core import bootstrap
from shiftwork_core.domain.metrics.catalogue import COUNTERS, HISTOGRAMS
from shiftwork_core.domain.metrics.counters import Subject
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.times import from_iso, to_iso
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.services.metrics.series import MetricSeries, MinuteCount

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]

Time = Annotated[str | None, Query(max_length=40, description="ISO 8601, with its time zone")]
#: The names of each subject's labels, and which of its numbers count something.
_LABELS = {metric.subject: metric.labels for metric in COUNTERS}
_FIELDS = {
    subject: {f for metric in COUNTERS if metric.subject is subject for f in metric.fields}
    for subject in Subject
}


class DurationsAnswer(BaseModel):
    """Durations of one minute. Half and 95 % of them are no longer than the two bounds."""

    count: int
    sum_s: float
    p50_s: float
    p95_s: float


class MinuteAnswer(BaseModel):
    """What happened within a minute."""

    minute: str
    subject: str = Field(description="requests, jobs, queues, lifecycle_jobs, sweeps or streams")
    labels: dict[str, str]
    counts: dict[str, int] = Field(description="how often what has happened")
    durations: dict[str, DurationsAnswer] = Field(description="by the name of the metric")


class SeriesAnswer(BaseModel):
    """The counters minute by minute, in order; a minute in which nothing happened is left out."""

    items: list[MinuteAnswer]


@cache
def series() -> MetricSeries:
    """Return the reader of the series."""
    return bootstrap.metrics.series()


@router.get(
    "/v1/metrics/series",
    **operation(
        "getSeries",
        "See what happened minute by minute",
        {200: ("At most six hours, by default the last one; two weeks are kept", SeriesAnswer)},
        (422,),
    ),
)
def get_series(since: Time = None, until: Time = None) -> Response[str]:
    """See what happened minute by minute, from `since` to before `until`."""
    found = series().read(_time("since", since), _time("until", until))
    return answer({"items": [_view(one) for one in found]})


def _time(name: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else from_iso(text)
    except ValueError:
        message = "must be ISO 8601 with an offset, such as 2026-01-31T09:00:00Z"
        raise Invalid(f"{name} {message}", [FaultAt(name, message)]) from None


def _view(one: MinuteCount) -> JsonObject:
    subject = one.key.subject
    durations = {
        f"{metric.name}_seconds": metric.histogram.summary(one.numbers)
        for metric in HISTOGRAMS
        if metric.subject is subject
    }
    return {
        "minute": to_iso(one.minute),
        "subject": subject.value,
        "labels": dict(zip(_LABELS[subject], one.key.labels, strict=True)),
        "counts": {f: n for f, n in sorted(one.numbers.items()) if f in _FIELDS[subject]},
        "durations": {name: asdict(found) for name, found in durations.items() if found},
    }
