"""Every span of an execution names that execution."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from shiftwork.worker import (
    MissingExtra,
    WorkerContext,
    WorkerPool,
    WrongState,
    annotate_tracer_provider,
)
from tests.unit.sdk.worker.function_worker import FunctionWorker, messages, numbered

COPIER = {"Worker": "copier", "WorkerExecutionID": "id-1"}


class Exporting:
    """A tracer provider, and what it exports: each span's name and attributes."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.provider = TracerProvider(sampler=sampler)
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> dict[str, Mapping[str, Any]]:
        return {s.name: dict(s.attributes or {}) for s in self._exporter.get_finished_spans()}

    @property
    def scopes(self) -> set[str]:
        spans = self._exporter.get_finished_spans()
        return {span.instrumentation_scope.name for span in spans if span.instrumentation_scope}


def run_once(worker: FunctionWorker, provider: trace.TracerProvider | None) -> list[str]:
    pool = WorkerPool(tracer_provider=provider, new_id=numbered())
    pool.register(worker)
    with pool:
        pool.wait()
    return messages(pool.execution(worker.name))


def test_spans_of_the_contexts_tracer_name_the_execution() -> None:
    exporting = Exporting()

    async def run(ctx: WorkerContext) -> None:
        with ctx.tracer.start_as_current_span("outer", attributes={"files": 3}) as outer:
            assert trace.get_current_span() is outer
            ctx.tracer.start_span("inner", None, trace.SpanKind.CLIENT).end()

    assert run_once(FunctionWorker(run, "copier"), exporting.provider)[-1].endswith("success")
    assert exporting.spans == {"inner": COPIER, "outer": {"files": 3, **COPIER}}
    assert exporting.scopes == {"worker"}


def test_the_span_of_a_decorated_coroutine_lasts_as_long_as_it_runs() -> None:
    exporting = Exporting()

    async def run(ctx: WorkerContext) -> None:
        @ctx.tracer.start_as_current_span("decorated")
        async def work() -> bool:
            return trace.get_current_span().is_recording()

        assert await work()

    assert run_once(FunctionWorker(run, "copier"), exporting.provider)[-1].endswith("success")
    assert exporting.spans == {"decorated": COPIER}


def test_a_sampler_sees_the_execution_of_a_span() -> None:
    class OnlyOthers(Sampler):
        def should_sample(
            self, parent_context: object, trace_id: int, name: str, *rest: Any, **named: Any
        ) -> SamplingResult:
            attributes: Mapping[str, Any] = named.get("attributes") or rest[1]
            is_ours = attributes.get("Worker") == "copier"
            return SamplingResult(Decision.DROP if is_ours else Decision.RECORD_AND_SAMPLE)

        def get_description(self) -> str:
            return "only others"

    exporting = Exporting(OnlyOthers())
    for name in ("copier", "mailer"):
        run_once(
            FunctionWorker(lambda ctx: ctx.tracer.start_span(f"of {ctx.name}").end(), name),
            exporting.provider,
        )
    assert list(exporting.spans) == ["of mailer"]


def test_an_annotated_provider_marks_every_span_that_starts_within_an_execution() -> None:
    exporting = Exporting()
    annotate_tracer_provider(exporting.provider)
    library = exporting.provider.get_tracer("some.library")

    def run(ctx: WorkerContext) -> None:
        library.start_span("within").end()

    library.start_span("before").end()
    run_once(FunctionWorker(run, "copier"), provider=None)
    library.start_span("after").end()
    assert exporting.spans == {"before": {}, "within": COPIER, "after": {}}


def test_a_provider_that_takes_no_processors_is_refused() -> None:
    with pytest.raises(WrongState, match="NoOpTracerProvider takes no span processors"):
        annotate_tracer_provider(trace.NoOpTracerProvider())


def test_without_opentelemetry_the_tracer_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "opentelemetry")
    seen = list[str]()

    def run(ctx: WorkerContext) -> None:
        with ctx.tracer.start_as_current_span("outer", attributes={"files": 3}) as span:
            span.set_attribute("more", 1)
            span.record_exception(ValueError())
            assert not span.is_recording()
        ctx.tracer.start_span("inner").end()
        seen.append(type(ctx.tracer).__name__)

        @ctx.tracer.start_as_current_span("decorated")
        def work() -> str:
            return "worked"

        seen.append(work())

    assert run_once(FunctionWorker(run), provider=None)[-1].endswith("success")
    assert seen == ["NoTracer", "worked"]


def test_annotating_without_the_sdk_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "opentelemetry.sdk")
    with pytest.raises(MissingExtra, match="opentelemetry-sdk"):
        annotate_tracer_provider(trace.NoOpTracerProvider())


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make a package look as if it were not installed."""
    hidden: Sequence[str] = [
        name for name in sys.modules if name == package or name.startswith(f"{package}.")
    ]
    for name in {package, *hidden}:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("_spans", "_span_processor"):
        monkeypatch.delitem(sys.modules, f"shiftwork.worker.{name}", raising=False)
