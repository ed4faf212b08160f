"""Count a task runner's polls, tasks and results, if prometheus-client is installed.

The metrics have Conductor's names, which do not follow Prometheus's conventions. With `suffixes`
they also have conventional names, ending in `_total`, `_seconds` and `_bytes`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from shiftwork.worker.errors import MissingExtra

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.core import Metric

#: The histograms' bounds: how long a task takes, how large an output is.
_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
_BYTES = (100, 1_000, 10_000, 100_000, 1_000_000)

_COUNTERS = {
    "task_poll_error": "Failed attempts to poll for tasks.",
    "task_execute_error": "Tasks whose function raised.",
    "task_update_error": "Failed attempts to report a result.",
    "task_poll_counter": "Polls for tasks.",
}
_MEASURES = {
    "task_poll_time": ("Seconds that the last poll took.", "seconds", _SECONDS),
    "task_execute_time": ("Seconds that the last task took.", "seconds", _SECONDS),
    "task_result_size": ("Bytes of the last output.", "bytes", _BYTES),
}


class TaskMetrics:
    """Counts what a task runner does, by task type.

    Parameters
    ----------
    suffixes
        Also show the conventional names, for which measures are histograms.
    """

    def __init__(self, *, suffixes: bool = False) -> None:
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._suffixes = suffixes
        try:
            from prometheus_client import Counter, Gauge, Histogram
        except ModuleNotFoundError:
            return
        for name, text in _COUNTERS.items():
            more = ("includeRetries", "status") if name == "task_poll_error" else ()
            self._counters[name] = Counter(name, text, ("taskType", *more), registry=None)
        for name, (text, unit, bounds) in _MEASURES.items():
            self._gauges[name] = Gauge(name, text, ("taskType",), registry=None)
            text = text.replace(" the last", " a").replace("an output", "outputs")
            self._histograms[name] = Histogram(
                f"{name}_{unit}", text, ("taskType",), registry=None, buckets=bounds
            )

    def register(self, registry: CollectorRegistry) -> None:
        """Add the metrics to a registry.

        Raises
        ------
        MissingExtra
            If prometheus-client is not installed.
        """
        if not self._counters:
            raise MissingExtra("prometheus-client", "Showing metrics")
        suffixes = ("", "_total") if self._suffixes else ("",)
        registry.register(_Named(self._counters.values(), suffixes))
        for collector in (*self._gauges.values(), *self._histograms.values()):
            if self._suffixes or collector in self._gauges.values():
                registry.register(collector)

    def polled(self, types: Sequence[str]) -> None:
        """Count one poll for tasks of these types."""
        for type_ in types:
            self._count("task_poll_counter", type_)

    def poll_took(self, types: Sequence[str], seconds: float) -> None:
        """Record how long an answered poll took."""
        for type_ in types:
            self._measure("task_poll_time", type_, seconds)

    def poll_failed(self, types: Sequence[str], status: str, *, is_repeat: bool) -> None:
        """Count a failed poll; `status` is the answer's, or `none` without an answer."""
        for type_ in types:
            self._count("task_poll_error", type_, str(is_repeat).lower(), status)

    def update_failed(self, type_: str) -> None:
        """Count a failed attempt to report a result."""
        self._count("task_update_error", type_)

    def executed(self, type_: str, seconds: float, *, is_error: bool) -> None:
        """Record how long a task took, and whether its function raised."""
        self._measure("task_execute_time", type_, seconds)
        if is_error:
            self._count("task_execute_error", type_)

    def resulted(self, type_: str, size_bytes: int) -> None:
        """Record how large an output is."""
        self._measure("task_result_size", type_, size_bytes)

    def _count(self, name: str, *labels: str) -> None:
        if name in self._counters:
            self._counters[name].labels(*labels).inc()

    def _measure(self, name: str, type_: str, value: float) -> None:
        if name in self._gauges:
            self._gauges[name].labels(type_).set(value)
            self._histograms[name].labels(type_).observe(value)


class _Named:
    """Shows counters under names of our choice: prometheus-client adds `_total` to each.

    Their type is shown as unknown, since OpenMetrics requires `_total` in a counter's name.
    """

    def __init__(self, counters: Iterable[Counter], suffixes: Sequence[str]) -> None:
        self._counters = list(counters)
        self._suffixes = suffixes

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import Metric

        families = (family for counter in self._counters for family in counter.collect())
        for family, suffix in itertools.product(families, self._suffixes):
            named = Metric(f"{family.name}{suffix}", family.documentation, "unknown")
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    named.add_sample(named.name, sample.labels, sample.value)
            yield named
