"""What all workers of a pool share: the clock, ids, the logger, tracing and metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shiftwork.worker.clock import Clock
from shiftwork.worker.metrics import WorkerMetrics

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


@dataclass(frozen=True)
class PoolServices:
    """What a pool gives to each of its workers.

    Attributes
    ----------
    new_id
        Returns a new id for an execution.
    tracer_provider
        None: OpenTelemetry's global one.
    """

    clock: Clock
    new_id: Callable[[], str]
    logger: logging.Logger
    tracer_provider: TracerProvider | None
    metrics: WorkerMetrics
