"""Commands for metrics: show the main numbers of `GET /metrics`, rebuild the counters."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from shiftwork.cli import connection
from shiftwork.cli.render.output import Format, Output, OutputOption, parse_time, seconds
from shiftwork.cli.render.tables import Column

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.shapes import Rebuild

COLUMNS = (
    Column("TYPE"),
    Column("OF", 9),
    Column("COMPLETED", 8),
    Column("FAILED", 8),
    Column("CANCELLED", 5),
    Column("RETRIED", 5),
    Column("WAITING", 8),
    Column("OLDEST", 7),
    Column("TOOK", 4),
)
#: How many seconds the counters are usually behind at most.
_USUAL_LAG_S = 90
#: How long to wait between two looks at a rebuild.
_POLL_S = 2.0


@dataclass
class _Type:
    """What happened to requests, or jobs, of one type. None: there is no such number."""

    name: str
    of: str
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    waiting: int | None = None
    oldest_s: float | None = None
    took_s: float | None = None


@dataclass
class Samples:
    """The samples of a scrape by metric, without `shiftwork_`: labels and value of each."""

    by_name: dict[str, list[tuple[Mapping[str, str], float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    @classmethod
    def of(cls, text: str) -> Samples:
        """Read the text.

        Raises
        ------
        MissingExtra
            If prometheus-client is not installed.
        """
        from shiftwork.worker.errors import MissingExtra

        try:
            from prometheus_client.parser import text_string_to_metric_families
        except ImportError:
            raise MissingExtra("prometheus-client", "Reading metrics") from None
        samples = cls()
        for family in text_string_to_metric_families(text):
            for name, labels, value, *_ in family.samples:
                samples.by_name[name.removeprefix("shiftwork_")].append((labels, value))
        return samples

    def by(self, name: str, label: str, **wanted: str) -> dict[str, float]:
        """Return a metric's sums by a label, of the samples whose labels are as wanted."""
        sums: dict[str, float] = defaultdict(float)
        for labels, value in self.by_name[name]:
            if wanted.items() <= labels.items():
                sums[labels[label]] += value
        return dict(sums)

    def greatest(self, name: str, label: str) -> dict[str, float]:
        """Return a metric's greatest values by a label."""
        found: dict[str, float] = {}
        for labels, value in self.by_name[name]:
            found[labels[label]] = max(value, found.get(labels[label], value))
        return found

    def one(self, name: str) -> float | None:
        """Return the value of a metric without labels, None if it was not measured."""
        return next((value for _, value in self.by_name[name]), None)


def show(output: OutputOption = Format.TABLE) -> None:
    """Show what happened to requests and jobs by type, what waits, and who works.

    RETRIED counts a user's retries for requests, and attempts that another one followed for jobs.
    TOOK is a mean: completed requests since submission or start time, attempts since their claim.
    """
    out = Output(output)
    with connection.connect() as client:
        samples = Samples.of(client.metrics())
        rebuild = client.rebuild_progress() if samples.one("counters_up") else None
    platform, types = _platform(samples), [*_request_types(samples), *_job_types(samples)]
    if out.is_json:
        shown = {"platform": platform, "types": [vars(one) for one in types]}
        out.json({**shown, "rebuild": rebuild})
        return
    out.fields([_in_words(name, value) for name, value in platform.items()])
    if types:
        out.line()
        out.table(COLUMNS, map(_row, types), "shiftwork metrics show")
    for message in _on_the_counters(samples, rebuild):
        out.message(message)


def _on_the_counters(samples: Samples, rebuild: Rebuild | None) -> Iterator[str]:
    """Yield what people must know to trust the counters; the rebuild is None without counters."""
    if rebuild is None:
        yield "The counters cannot be read now, so only what is measured is shown."
        return
    if lag_s := max(samples.by("stream_lag_seconds", "table").values(), default=0.0):
        late = "" if lag_s <= _USUAL_LAG_S else ", which is more than usual"
        yield f"The counters are {seconds(lag_s)} behind{late}. All numbers: GET /metrics"
    if rebuild["status"] != "none":
        yield f"A rebuild of the counters runs. {_progress(rebuild)}"
        yield "Follow it: shiftwork metrics rebuild"
    elif any(samples.by("counters_gap", "table").values()):
        yield "Changes are missing in the counters. Count again: shiftwork metrics rebuild"


def rebuild(
    wait: Annotated[bool, typer.Option(help="Follow it until it is over.")] = True,
    output: OutputOption = Format.TABLE,
) -> None:
    """Count all rows again: after a gap, or when in doubt. It takes 3 to 5 minutes.

    The platform runs on meanwhile. A second call follows the rebuild under way.
    """
    out = Output(output)
    with connection.connect() as client:
        begun = client.rebuild_counters()
        last = _follow(client, begun, out) if wait else begun
    if out.is_json:
        out.json(last)
    elif wait:
        out.message("The new counters are in place. See: shiftwork metrics show")
    else:
        out.fields([("rebuild", last["status"]), ("rows", last["rows"]), ("cut", last["cut"])])
        out.message("Follow it: shiftwork metrics rebuild")


def _follow(client: ShiftworkClient, begun: Rebuild, out: Output) -> Rebuild:
    """Say how far the rebuild is until it is over; return what the counters are then."""
    told, now = "", begun
    try:
        while now["status"] != "none":
            if (words := _progress(now)) != told:
                told = words
                out.message(words)
            time.sleep(_POLL_S)
            now = client.rebuild_progress()
    except KeyboardInterrupt:
        out.message("\nThe rebuild goes on. To follow it again: shiftwork metrics rebuild")
        raise
    return now


def _progress(now: Rebuild) -> str:
    if now["status"] == "waiting" and now["reads_from"] is not None:
        at = parse_time(now["reads_from"]).astimezone()
        return (
            f"Waiting until {at:%H:%M:%S} (local time) for changes that are under way; "
            "then reading, a minute or more."
        )
    return f"{now['rows']:,} rows are counted." if now["rows"] else "Reading rows."


def _platform(samples: Samples) -> dict[str, object]:
    """Return the numbers that have no type."""
    workers = {
        status: int(count) for status, count in samples.by("workers", "status").items() if count
    }
    return {
        "workers": workers,
        "lost_workers": _whole(samples.one("lost_workers")),
        "stuck_requests": _whole_sum(samples.by("stuck_requests", "lane")),
        "dead_letters": _whole_sum(samples.by("dead_letters", "queue")),
        "late_switch_s": samples.one("late_switch_seconds"),
    }


def _request_types(samples: Samples) -> Iterator[_Type]:
    by_status = {
        status: samples.by("requests_total", "type", status=status)
        for status in ("Completed", "Failed", "Cancelled")
    }
    retries = samples.by("request_retries_total", "type")
    took = _means(samples, "request_duration_seconds")
    for name in sorted(retries):
        ended = {status: int(counts.get(name, 0)) for status, counts in by_status.items()}
        yield _Type(
            name,
            "requests",
            ended["Completed"],
            ended["Failed"],
            ended["Cancelled"],
            int(retries[name]),
            took_s=took.get(name),
        )


def _job_types(samples: Samples) -> Iterator[_Type]:
    by_outcome = {
        outcome: samples.by("attempts_total", "type", outcome=outcome)
        for outcome in ("completed", "failure", "cancelled", "retry")
    }
    waiting = samples.by("queue_jobs", "type")
    oldest = samples.greatest("queue_oldest_seconds", "type")
    took = _means(samples, "attempt_duration_seconds")
    for name in sorted({*by_outcome["completed"], *waiting}):
        ended = {outcome: int(counts.get(name, 0)) for outcome, counts in by_outcome.items()}
        yield _Type(
            name,
            "jobs",
            ended["completed"],
            ended["failure"],
            ended["cancelled"],
            ended["retry"],
            waiting=_whole(waiting.get(name)),
            oldest_s=oldest.get(name) if waiting.get(name) else None,
            took_s=took.get(name),
        )


def _means(samples: Samples, histogram: str) -> dict[str, float]:
    sums, counts = samples.by(f"{histogram}_sum", "type"), samples.by(f"{histogram}_count", "type")
    return {name: sums[name] / count for name, count in counts.items() if count}


def _row(one: _Type) -> tuple[object, ...]:
    times = (None if value is None else seconds(value) for value in (one.oldest_s, one.took_s))
    counts = (one.completed, one.failed, one.cancelled, one.retried, one.waiting)
    return (one.name, one.of, *counts, *times)


def _in_words(name: str, value: object) -> tuple[str, object]:
    """Return a number of the platform for people: durations as such, workers by status."""
    title = name.removesuffix("_s").replace("_", " ")
    if isinstance(value, dict):
        words = (f"{count} {status}" for status, count in value.items())
        return title, ", ".join(words) or "none"
    return title, seconds(value) if isinstance(value, float) else value


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _whole_sum(values: Mapping[str, float]) -> int | None:
    return int(sum(values.values())) if values else None
