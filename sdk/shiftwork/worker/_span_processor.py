"""Add the current execution to every span that starts; needs opentelemetry-sdk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import Span, SpanProcessor

from shiftwork.worker.context import current
from shiftwork.worker.tracing import span_attributes

if TYPE_CHECKING:
    from opentelemetry.context import Context


class ExecutionSpanProcessor(SpanProcessor):
    """Adds the execution's attributes to each span that starts within an execution."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Add the attributes, if a worker runs."""
        if (ctx := current.get()) is not None:
            span.set_attributes(span_attributes(ctx.name, ctx.execution_id))
