"""The tracer of one execution, on top of OpenTelemetry's; needs opentelemetry-api."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.util._decorator import _AgnosticContextManager
    from opentelemetry.util.types import Attributes

TRACER_NAME = "worker"


def tracer_of(provider: trace.TracerProvider | None) -> trace.Tracer:
    """Return the tracer of a provider, or of the global one."""
    return trace.get_tracer(TRACER_NAME, tracer_provider=provider)


class ExecutionTracer(trace.Tracer):
    """Wraps a tracer and adds attributes to its spans; samplers see them."""

    def __init__(self, tracer: trace.Tracer, attributes: dict[str, str]) -> None:
        self._tracer = tracer
        self._attributes = attributes

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Attributes = None,
        *args: Any,
        **kwargs: Any,
    ) -> trace.Span:
        """Start a span that is not the current one."""
        attributes = {**(attributes or {}), **self._attributes}
        return self._tracer.start_span(name, context, kind, attributes, *args, **kwargs)

    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Attributes = None,
        *args: Any,
        **kwargs: Any,
    ) -> _AgnosticContextManager[trace.Span]:
        """Return a context manager that starts a span and makes it the current one."""
        attributes = {**(attributes or {}), **self._attributes}
        return self._tracer.start_as_current_span(name, context, kind, attributes, *args, **kwargs)
