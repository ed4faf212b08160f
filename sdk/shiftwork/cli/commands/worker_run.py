"""`shiftwork worker run`: do tasks until SIGTERM or Ctrl-C."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from shiftwork.worker import TaskRunner, TaskWorker

_FORMAT = "%(asctime)s  %(levelname)-7s  %(worker)s  %(message)s"

Workers = Annotated[
    list[str],
    typer.Argument(
        metavar="[TYPE=]MODULE[:FUNCTION]...",
        help="A module whose functions are decorated with @worker_task, one of them, or the type "
        "of tasks that any function does.",
        show_default=False,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(help="The worker's id; by default SHIFTWORK_WORKER_ID, else host and process."),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="How many tasks of a type at once.")]
Processes = Annotated[
    int | None, typer.Option(min=0, help="Do each type in so many processes of its own.")
]
Domain = Annotated[str | None, typer.Option(help="Claim tasks of this domain only.")]
PollInterval = Annotated[
    float | None, typer.Option(help="Seconds between polls, at least, while there are no tasks.")
]
LongPoll = Annotated[
    bool, typer.Option(help="Wait at the server for tasks: starts sooner, and costs more.")
]
Record = Annotated[bool, typer.Option(help="Keep a record that `shiftwork workers` shows.")]
Grace = Annotated[
    float,
    typer.Option(min=0, help="Seconds that running tasks have to finish once it stops."),
]
MetricsPort = Annotated[
    int | None, typer.Option(help="Serve Prometheus metrics at this port: /metrics.")
]
MetricSuffixes = Annotated[
    bool, typer.Option("--metric-suffixes", help="Also _total, _seconds and _bytes.")
]
HealthPort = Annotated[int | None, typer.Option(help="Answer /livez and /readyz at this port.")]
LogLevel = Annotated[str, typer.Option(help="debug, info, warning or error.")]


def run(
    workers: Workers,
    name: Name = None,
    batch_size: BatchSize = None,
    processes: Processes = None,
    domain: Domain = None,
    poll_interval: PollInterval = None,
    long_poll: LongPoll = False,
    record: Record = True,
    grace: Grace = 25.0,
    metrics_port: MetricsPort = None,
    metric_suffixes: MetricSuffixes = False,
    health_port: HealthPort = None,
    log_level: LogLevel = "info",
) -> None:
    """Do tasks of polled job types until Ctrl-C or SIGTERM; a second one gives back what runs."""
    from shiftwork.cli import connection
    from shiftwork.worker import TaskMetrics, TaskRunner

    _log(log_level.upper())
    sys.path.insert(0, str(Path.cwd()))
    given: dict[str, Any] = {
        "batch_size": batch_size,
        "processes": processes,
        "domain": domain,
        "poll_interval_s": poll_interval,
    }
    found = _find_workers(workers, {k: value for k, value in given.items() if value is not None})
    with connection.connect() as client:
        runner = TaskRunner(
            client,
            worker_id=name,
            long_poll=long_poll,
            grace_s=grace,
            keep_record=record,
            metrics=TaskMetrics(suffixes=metric_suffixes),
        )
    with ExitStack() as servers:
        _serve(runner, servers, metrics_port, health_port)
        runner.start(*found)
        types = ", ".join(sorted(worker.type for worker in found))
        typer.echo(f"{runner.worker_id} takes {types}. Ctrl-C ends it.", err=True)
        runner.wait_workers()


def _find_workers(references: list[str], changes: dict[str, Any]) -> list[TaskWorker]:
    """Return the workers that modules declare, changed by what options say."""
    from dataclasses import replace

    from shiftwork.worker.task_workers import find

    return [replace(worker, **changes) for text in references for worker in find(text)]


def _serve(
    runner: TaskRunner, servers: ExitStack, metrics_port: int | None, health_port: int | None
) -> None:
    """Serve metrics and health at the ports that are given, until the stack is closed."""
    from shiftwork.worker import provide_metrics, serve_health

    if metrics_port is not None:
        server = servers.enter_context(provide_metrics(metrics_port))
        _show_metrics(runner)
        typer.echo(f"Metrics: http://127.0.0.1:{server.port}/metrics", err=True)
    if health_port is not None:
        server = servers.enter_context(serve_health(runner.pool, health_port))
        typer.echo(f"Health: http://127.0.0.1:{server.port}/readyz", err=True)


def _log(level: str) -> None:
    """Log to stderr, each line with its worker, without the lines of the HTTP library."""
    from shiftwork.worker import WorkerLogFilter

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT, defaults={"worker": "-"}))
    handler.addFilter(WorkerLogFilter())
    logging.basicConfig(level=level, handlers=[handler])
    for noisy in ("httpx2", "httpcore2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _show_metrics(runner: TaskRunner) -> None:
    from prometheus_client import REGISTRY

    runner.show_metrics(REGISTRY)
