"""Have all spans of a program name the worker's execution that they started in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shiftwork.worker.errors import MissingExtra, WrongState

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


def annotate_tracer_provider(provider: TracerProvider) -> None:
    """Have every span that begins within an execution carry `Worker` and `WorkerExecutionID`.

    Parameters
    ----------
    provider
        One of opentelemetry-sdk, or another that takes span processors.

    Raises
    ------
    MissingExtra
        If opentelemetry-sdk is not installed.
    WrongState
        If the provider takes no span processors: it is the placeholder of a program that has
        set up no tracing.
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
