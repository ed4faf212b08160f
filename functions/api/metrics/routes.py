"""The route of metrics: one text for the whole platform."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from operations import operation
from shiftwork_core import bootstrap
from shiftwork_core.services.metrics.gauges import GaugeReader

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@cache
def gauges() -> GaugeReader:
    """Return the reader of gauges and counters."""
    return bootstrap.gauges.reader()


@router.get(
    "/metrics",
    compress=True,
    **operation(
        "getMetrics",
        "Measure the platform, for Prometheus",
        {200: ("Prometheus's text format, or OpenMetrics if Accept asks for it", None)},
        texts=("text/plain", "application/openmetrics-text"),
    ),
)
def get_metrics() -> Response[str]:
    """Measure the platform, for Prometheus. What cannot be read is left out."""
    from metrics.views import render  # Only a scrape needs the library.

    accept = router.current_event.headers.get("accept", "")
    text, content_type = render(gauges().scrape(), bootstrap.world.settings().stage, accept)
    return Response(HTTPStatus.OK.value, content_type, text)
