"""Write the counters and gauges as Prometheus's text, or as OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from shiftwork_core.domain.metrics.catalogue import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    OTHER,
    PREFIX,
    CounterMetric,
    Gauge,
    HistogramMetric,
)
from shiftwork_core.domain.metrics.counters import CounterKey, Subject, Tally, merge
from shiftwork_core.domain.metrics.gauges import Gauges, QueueGauge
from shiftwork_core.services.metrics.gauges import Scrape

#: Lambda passes on 6 MB, in which a quotation mark takes two bytes.
MAX_BYTES = 5_000_000
#: The rest of a longer label is cut off.
MAX_LABEL = 200
#: So many types of each subject are shown, or so many if that is too large, and so on.
_MOST_TYPES = (2000, 1000, 500, 250, 125)

#: The values of a gauge's labels, and its value.
_Sample = tuple[tuple[str, ...], float]


def render(scrape: Scrape, stage: str, accept: str) -> tuple[str, str]:
    """Return the text of all metrics and its content type, as `accept` asks for.

    The types of which most was counted are shown; if they are too many, the rest is one type.
    """
    encode, content_type = choose_encoder(accept)
    shown = _with_short_labels(scrape)
    for most in _MOST_TYPES:
        text = encode(_Page(*_bounded(shown, most), stage))
        if len(text) <= MAX_BYTES:
            break
    return text.decode(), content_type


# -- bounds --------------------------------------------------------------------------------------


def _with_short_labels(scrape: Scrape) -> Scrape:
    """Cut what is too long, and sum what is the same then."""
    totals: Tally = {}
    for key, fields in scrape.totals.items():
        merge(totals, {CounterKey(key.subject, tuple(map(_short, key.labels))): fields})
    queues = (
        replace(queue, job_type=_short(queue.job_type), domain=_short(queue.domain))
        for queue in scrape.gauges.queues
    )
    return Scrape(replace(scrape.gauges, queues=_summed(queues)), totals)


def _short(label: str) -> str:
    """Return a label's value as one that can be encoded and has a bounded length."""
    text = label.encode(errors="replace").decode()
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"


def _summed(queues: Iterable[QueueGauge]) -> tuple[QueueGauge, ...]:
    """Return one queue for each name."""
    by_name: dict[tuple[str, str], QueueGauge] = {}
    for queue in queues:
        name = (queue.job_type, queue.domain)
        known = by_name.get(name, QueueGauge(*name, 0, 0.0))
        jobs, oldest_s = known.jobs + queue.jobs, max(known.oldest_s, queue.oldest_s)
        by_name[name] = QueueGauge(*name, jobs, oldest_s)
    return tuple(by_name.values())


def _bounded(scrape: Scrape, most: int) -> tuple[Scrape, int]:
    """Keep the greatest `most` of each subject and of the queues; say how many types are summed."""
    totals: Tally = {}
    summed: set[tuple[str, ...]] = set()
    for subject in Subject:
        keys = [key for key in scrape.totals if key.subject is subject]
        keys.sort(key=lambda key: (-_size(scrape.totals, key), key))
        rest = {key.labels for key in keys[most:]}
        summed |= {labels[:1] for labels in rest}
        for key in keys:
            shown = tuple(OTHER for _ in key.labels) if key.labels in rest else key.labels
            merge(totals, {CounterKey(subject, shown): scrape.totals[key]})
    queues = sorted(scrape.gauges.queues, key=lambda queue: (-queue.jobs, -queue.oldest_s))
    summed |= {(queue.job_type,) for queue in queues[most:]}
    others = (replace(queue, job_type=OTHER, domain=OTHER) for queue in queues[most:])
    shown_queues = _summed([*queues[:most], *others])
    return Scrape(replace(scrape.gauges, queues=shown_queues), totals), len(summed)


def _size(totals: Tally, key: CounterKey) -> int:
    return sum(totals[key].values())


# -- families ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Page(Collector):
    """All families of metrics, in the catalogue's order; each is named even if it is empty."""

    scrape: Scrape
    summed_types: int
    stage: str

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        totals = sorted(self.scrape.totals.items())
        for counter in COUNTERS:
            yield _counter_family(counter, totals)
        for histogram in HISTOGRAMS:
            yield _histogram_family(histogram, totals)
        for gauge, samples in _gauge_samples(self.scrape.gauges):
            yield _gauge_family(gauge, samples)
        yield _gauge_family(Gauge.INFO, [((self.stage,), 1)])
        yield _gauge_family(Gauge.SUMMED_TYPES, [((), self.summed_types)])


_Totals = Sequence[tuple[CounterKey, "dict[str, int]"]]


def _counter_family(metric: CounterMetric, totals: _Totals) -> Metric:
    labels = (*metric.labels, *([metric.by] if metric.by else []))
    family = CounterMetricFamily(PREFIX + metric.name, metric.help, labels=labels)
    for key, fields in totals:
        if key.subject is metric.subject:
            for field in metric.fields:
                values = (*key.labels, *([field] if metric.by else []))
                family.add_metric(values, fields.get(field, 0))
    return family


def _histogram_family(metric: HistogramMetric, totals: _Totals) -> Metric:
    name = f"{PREFIX}{metric.name}_seconds"
    family = HistogramMetricFamily(name, metric.help, labels=metric.labels)
    buckets = metric.histogram.bucket_fields()
    bounds = [floatToGoString(bound) for bound in buckets.values()]  # type: ignore[no-untyped-call]
    for key, fields in totals:
        if key.subject is metric.subject:
            counts = accumulate(fields.get(field, 0) for field in buckets)
            sum_s = fields.get(metric.histogram.sum_field, 0) / 1000
            family.add_metric(key.labels, list(zip(bounds, counts, strict=True)), sum_s)
    return family


def _gauge_family(gauge: Gauge, samples: Iterable[_Sample]) -> Metric:
    metric = GAUGES[gauge]
    family = GaugeMetricFamily(PREFIX + metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _gauge_samples(gauges: Gauges) -> Iterator[tuple[Gauge, list[_Sample]]]:
    """Yield each measured gauge with its samples; one that was not measured has none."""
    queues = sorted(gauges.queues, key=lambda queue: (queue.job_type, queue.domain))
    due, streams = sorted(gauges.due_requests.items()), sorted(gauges.streams.items())
    yield Gauge.QUEUE_JOBS, [((q.job_type, q.domain), q.jobs) for q in queues]
    yield Gauge.QUEUE_OLDEST, [((q.job_type, q.domain), q.oldest_s) for q in queues]
    yield Gauge.DUE_REQUESTS_OLDEST, [((lane,), found.oldest_s) for lane, found in due]
    yield Gauge.STUCK_REQUESTS, [((lane,), found.stuck) for lane, found in due]
    yield Gauge.WORKERS, [((status.value,), n) for status, n in gauges.workers.items()]
    yield Gauge.LOST_WORKERS, _of(gauges.lost_workers)
    yield Gauge.LATE_SWITCH, _of(gauges.late_switch_s)
    yield Gauge.DEAD_LETTERS, [((queue,), n) for queue, n in sorted(gauges.dead_letters.items())]
    yield Gauge.STREAM_LAG, [((table,), stream.lag_s) for table, stream in streams]
    yield Gauge.COUNTERS_GAP, [((table,), stream.has_gap) for table, stream in streams]
    yield Gauge.COUNTERS_UP, _of(gauges.counters_up)
    since = gauges.counters_since
    yield Gauge.COUNTERS_SINCE, _of(None if since is None else since.timestamp())


def _of(value: float | None) -> list[_Sample]:
    return [] if value is None else [((), value)]
