"""GET /metrics: what it writes, in both formats, and how large it may become."""

from __future__ import annotations

import base64
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as prometheus

from shiftwork_core.domain.metrics.catalogue import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    PREFIX,
    HistogramMetric,
)
from shiftwork_core.domain.metrics.counters import TOOK, CounterKey, Subject, Tally
from shiftwork_core.domain.metrics.gauges import Gauges, QueueGauge
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports.metrics import Table
from shiftwork_core.services.metrics.gauges import Scrape
from tests.unit.functions.api.conftest import CONTEXT, Api, http_event
from tests.world.counters import SINCE

OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.2"}
Labels = tuple[tuple[str, str], ...]


def samples(families: Iterable[Metric]) -> dict[tuple[str, Labels], float]:
    """Return every sample by its name and labels, each of which is there once."""
    found = [
        ((sample.name, tuple(sorted(sample.labels.items()))), sample.value)
        for family in families
        for sample in family.samples
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


class Scraped:
    """The samples of a scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = samples(prometheus(text))

    def __getitem__(self, name: str) -> dict[str, float]:
        """Return a metric's samples, by the values of their labels in the labels' order."""
        return {
            " ".join(value for _, value in labels): number
            for (found, labels), number in self.samples.items()
            if found == f"{PREFIX}{name}"
        }


def scrape(api: Api, **headers: str) -> Scraped:
    answer = api("GET", "/metrics", headers=headers)
    assert answer.status == 200
    return Scraped(answer.text)


def took(api: Api, *seconds: float) -> None:
    """Count completed requests of the type `sum` that took so long."""
    key = CounterKey(Subject.REQUESTS, ("sum",))
    for duration in seconds:
        for one in TOOK.observe(key, duration, SINCE):
            api.counters.add_to(one.key.subject, *one.key.labels, **{one.field: one.count})


def views() -> Any:
    """Return the module that writes the text, on the path of the API function."""
    return import_module("metrics.views")


def openmetrics(text: str) -> Iterator[Metric]:
    """Parse the text; the library's parser has no types."""
    return text_string_to_metric_families(text)  # type: ignore[no-any-return, no-untyped-call]


def render(totals: Tally, **gauges: Any) -> Scraped:
    """Render totals and gauges, past the reader."""
    text, _ = views().render(Scrape(Gauges(SINCE, **gauges), totals), "test", "")
    return Scraped(text)


# -- what it says --------------------------------------------------------------------------------


def test_every_metric_has_its_help_and_type_before_anything_happened(api: Api) -> None:
    text = scrape(api).text
    for name, kind, help in [
        *((f"{c.name}_total", "counter", c.help) for c in COUNTERS),
        *((f"{h.name}_seconds", "histogram", h.help) for h in HISTOGRAMS),
        *((g.name, "gauge", g.help) for g in GAUGES.values()),
    ]:
        assert f"# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n" in text


def test_a_counter_with_fields_has_a_label_for_them_and_its_zeros(api: Api) -> None:
    api.counters.add_to(Subject.REQUESTS, "sum", Queuing=3, Inprogress=2)
    found = scrape(api)
    statuses = {"Queuing": 3, "Inprogress": 2, "Completed": 0, "Failed": 0, "Cancelled": 0}
    assert found["requests_total"] == {f"{s} sum": n for s, n in statuses.items()}
    assert found["request_retries_total"] == {"sum": 0}


def test_jobs_are_attempts_without_those_that_were_retried(api: Api) -> None:
    api.counters.add_to(Subject.JOBS, "add", completed=3, retry=2)
    found = scrape(api)
    assert found["jobs_total"] == {"cancelled add": 0, "completed add": 3, "failure add": 0}
    assert found["attempts_total"] == found["jobs_total"] | {"retry add": 2}


def test_a_histograms_buckets_are_cumulative_and_its_sum_is_in_seconds(api: Api) -> None:
    took(api, 0.04, 0.05, 0.3, 50, 30_000)
    found = scrape(api)
    buckets = found["request_duration_seconds_bucket"]
    bounds = ["0.05", "0.1", "0.5", "30.0", "60.0", "21600.0", "+Inf"]
    assert [buckets[f"{bound} sum"] for bound in bounds] == [2, 2, 3, 3, 4, 4, 5]
    assert found["request_duration_seconds_count"] == {"sum": 5}
    assert found["request_duration_seconds_sum"] == {"sum": pytest.approx(30_050.39)}
    assert found["step_duration_seconds_count"] == {"sum": 0}


def test_gauges_are_measured_when_they_are_asked_for(api: Api) -> None:
    api.world.job_type("poll", target="worker")
    api.counters.behind(Table.JOBS, api.world.clock())
    assert scrape(api)["stream_lag_seconds"] == {"jobs": 0}
    api.world.clock.advance(7)
    found = scrape(api)
    assert found["stream_lag_seconds"] == {"jobs": 7}
    assert found["queue_jobs"] == {" poll": 0}
    statuses = ["idle", "available", "busy", "error", "offline", "stopped"]
    assert found["workers"] == dict.fromkeys(statuses, 0)
    assert found["dead_letters"] == {"wake": 0, "switch": 0}
    assert found["counters_since_timestamp_seconds"] == {"": SINCE.timestamp()}
    assert (found["counters_up"], found["counters_gap"]) == ({"": 1}, {"jobs": 0})
    assert found["info"] == {"test": 1}


def test_without_the_counters_there_are_gauges_and_it_says_so(api: Api) -> None:
    api.counters.add_to(Subject.REQUESTS, "sum", Queuing=3)
    api.counters.error = Unavailable("the table is gone")
    found = scrape(api)
    assert found["counters_up"] == {"": 0}
    assert found["requests_total"] == {}
    assert found["counters_since_timestamp_seconds"] == {}
    assert found["lost_workers"] == {"": 0}


def test_what_could_not_be_measured_has_no_sample(api: Api) -> None:
    found = render({})
    for name in ("lost_workers", "late_switch_seconds", "workers", "stuck_requests"):
        assert found[name] == {}


# -- formats -------------------------------------------------------------------------------------


def test_prometheus_text_is_the_answer_unless_openmetrics_is_asked_for(api: Api) -> None:
    api.counters.add_to(Subject.REQUESTS, "sum", Queuing=3)
    took(api, 1)
    plain = api("GET", "/metrics", headers={"accept": "*/*"})
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    open_ = api("GET", "/metrics", headers=OPENMETRICS)
    expected = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert open_.headers["Content-Type"].startswith(expected)
    assert open_.text.endswith("# EOF\n")
    assert samples(openmetrics(open_.text)) == samples(prometheus(plain.text))


def test_a_scraper_that_unpacks_gets_a_packed_answer(api: Api) -> None:
    event = http_event("GET", "/metrics", headers={"accept-encoding": "gzip, deflate"})
    result = api.app.handler(event, CONTEXT)
    assert result["headers"]["Content-Encoding"] == "gzip"
    assert result["isBase64Encoded"]
    text = gzip.decompress(base64.b64decode(result["body"])).decode()
    assert Scraped(text)["counters_up"] == {"": 1}


# -- labels --------------------------------------------------------------------------------------

ODD = 'a "type" \\ of\nlines, ü, \r and }'


@pytest.mark.parametrize("name", [ODD, ODD * 20, "x" * 200, "", "\ud800"])
def test_any_name_of_a_type_can_be_read_again(api: Api, name: str) -> None:
    api.counters.add_to(Subject.REQUESTS, name, Queuing=3)
    plain = api("GET", "/metrics").text
    open_ = api("GET", "/metrics", headers=OPENMETRICS).text
    [key] = [k for k, v in samples(prometheus(plain)).items() if v == 3]
    shown = dict(key[1])["type"]
    whole = name.encode(errors="replace").decode()
    assert shown == (whole if len(whole) <= 200 else f"{whole[:199]}…")
    assert samples(openmetrics(open_))[key] == 3


def test_names_that_are_the_same_when_cut_are_summed(api: Api) -> None:
    names = ["x" * 200 + end for end in "ab"]
    totals: Tally = {CounterKey(Subject.QUEUES, (n, "gpu")): Counter(queued=2) for n in names}
    queues = tuple(QueueGauge(name, "gpu", 2, age) for name, age in zip(names, [1, 9], strict=True))
    found = render(totals, queues=queues)
    cut = f"gpu {'x' * 199}…"
    assert found["queued_attempts_total"] == found["queue_jobs"] == {cut: 4}
    assert found["queue_oldest_seconds"] == {cut: 9}


# -- size ----------------------------------------------------------------------------------------


def fill(api: Api, types: int, name: str = "department.kind-of-work-{:04}") -> None:
    """Give every metric all its labels and so many types, with numbers of seven digits."""
    names = [name.format(number) for number in range(types)]
    fixed = {"operation": ["start", "stop"], "sweep": ["jobs", "workers"], "table": [*Table]}
    tally: Tally = {}
    for metric in (*COUNTERS, *HISTOGRAMS):
        if isinstance(metric, HistogramMetric):
            fields = (*metric.histogram.bucket_fields(), metric.histogram.sum_field)
        else:
            fields = metric.fields
        for number, value in enumerate(fixed.get(metric.labels[0], names)):
            key = CounterKey(metric.subject, (value,) * len(metric.labels))
            counter = tally.setdefault(key, Counter())
            counter |= dict.fromkeys(fields, 1_234_567 + number)
    api.counters.add_all(tally)


def test_a_hundred_types_of_each_kind_need_less_than_a_megabyte(api: Api) -> None:
    fill(api, 100)
    text = scrape(api).text
    assert text.count('type="department.kind-of-work-0099"') > 80
    assert 500_000 < len(text.encode()) < 1_000_000


def test_an_answer_that_would_be_too_large_sums_the_least_types(api: Api) -> None:
    fill(api, 800, "x" * 150 + "{:04}")
    found = scrape(api)
    assert len(found.text.encode()) < 5_000_000
    [summed] = found["summed_types"].values()
    shown = found["request_retries_total"]
    others = 800 - (len(shown) - 1)
    assert 0 < others <= summed  # Of jobs and queues others may be the greatest.
    assert shown["other"] == sum(1_234_567 + number for number in range(others))
    assert found["summed_types"] != {"": 0}
    assert f"{'x' * 150}0799" in shown
    assert sum(shown.values()) == sum(1_234_567 + number for number in range(800))


def test_queues_that_are_summed_keep_their_jobs_and_their_oldest(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views(), "_MOST_TYPES", (2,))
    queues = tuple(QueueGauge(f"t{n}", "", n, 10.0 - n) for n in range(5))
    found = render({}, queues=queues)
    assert found["queue_jobs"] == {" t4": 4, " t3": 3, "other other": 3}
    assert found["queue_oldest_seconds"] == {" t4": 6, " t3": 7, "other other": 10}
    assert found["summed_types"] == {"": 3}
