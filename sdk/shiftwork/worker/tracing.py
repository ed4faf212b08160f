"""The tracer of a worker: its spans name the execution. Without OpenTelemetry, no spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

Decorated = TypeVar("Decorated")


def execution_tracer(provider: TracerProvider | None, name: str, execution_id: str) -> Tracer:
    """Return a tracer whose spans name the execution; without OpenTelemetry one that does nothing.

    Parameters
    ----------
    provider
        None: the program's global one.
    """
    try:
        from shiftwork.worker._spans import ExecutionTracer, tracer_of
    except ModuleNotFoundError:
        return cast("Tracer", NoTracer())
    return ExecutionTracer(tracer_of(provider), span_attributes(name, execution_id))


def span_attributes(name: str, execution_id: str) -> dict[str, str]:
    """Return the attributes that every span of an execution has."""
    return {"Worker": name, "WorkerExecutionID": execution_id}


class NoSpan:
    """Accepts every call of a span, and records nothing."""

    def __enter__(self) -> NoSpan:
        """Return the span."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let every error through."""

    def __call__(self, function: Decorated) -> Decorated:
        """Return the decorated function unchanged."""
        return function

    def is_recording(self) -> bool:
        """Return False: it records nothing."""
        return False

    def _ignore(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    set_attribute = set_attributes = add_event = add_link = _ignore
    record_exception = set_status = update_name = end = _ignore


class NoTracer:
    """Stands in for a tracer where OpenTelemetry is not installed."""

    def start_span(self, *args: Any, **kwargs: Any) -> NoSpan:
        """Start nothing."""
        return NoSpan()

    start_as_current_span = start_span
