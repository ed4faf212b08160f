"""Annotate a program's spans with the worker's execution in which they start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shiftwork.worker.errors import MissingExtra, WrongState

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


def annotate_tracer_provider(provider: TracerProvider) -> None:
    """Add `Worker` and `WorkerExecutionID` to every span that starts within an execution.

    Parameters
    ----------
    provider
        A provider of opentelemetry-sdk, or another that takes span processors.

    Raises
    ------
    MissingExtra
        If opentelemetry-sdk is not installed.
    WrongState
        If the provider takes no span processors, as that of a program without tracing.
    """
    try:
        from shiftwork.worker._span_processor import ExecutionSpanProcessor
    except ModuleNotFoundError as error:
        raise MissingExtra("opentelemetry-sdk", "Annotating spans") from error
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        raise WrongState(
            f"{type(provider).__name__} takes no span processors.",
            "Annotate a TracerProvider of opentelemetry.sdk.trace",
        )
    add(ExecutionSpanProcessor())
