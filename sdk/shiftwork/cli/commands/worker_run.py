"""`shiftwork worker run`: a process that does tasks until it is told to end."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from shiftwork.worker import TaskRunner

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


def run(
    workers: Workers,
    name: Annotated[
        str | None,
        typer.Option(help="The worker's id; by default SHIFTWORK_WORKER_ID, or host and process."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="How many tasks of a type at once.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=0, help="Do each type in so many processes of its own.")
    ] = None,
    domain: Annotated[str | None, typer.Option(help="Take tasks of this domain only.")] = None,
    poll_interval: Annotated[
        float | None, typer.Option(help="Seconds between looks, without long polling.")
    ] = None,
    long_poll: Annotated[bool, typer.Option(help="Wait at the server for tasks.")] = True,
    record: Annotated[bool, typer.Option(help="Have a record that `workers` shows.")] = True,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds for tasks to end when it is told to.")
    ] = 25.0,
    metrics_port: Annotated[
        int | None, typer.Option(help="Serve Prometheus metrics there: /metrics.")
    ] = None,
    metric_suffixes: Annotated[
        bool, typer.Option("--metric-suffixes", help="Also _total, _seconds and _bytes.")
    ] = False,
    health_port: Annotated[
        int | None, typer.Option(help="Answer /livez and /readyz there.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Do tasks of polled job types until SIGTERM or Ctrl-C; a second one ends it at once."""
    from dataclasses import replace

    from shiftwork.cli import connection
    from shiftwork.worker import TaskMetrics, TaskRunner, provide_metrics, serve_health
    from shiftwork.worker.task_workers import find

    _log(log_level.upper())
    sys.path.insert(0, str(Path.cwd()))
    given: dict[str, Any] = {
        "batch_size": batch_size,
        "processes": processes,
        "domain": domain,
        "poll_interval_s": poll_interval,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    found = [replace(worker, **changes) for text in workers for worker in find(text)]
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
        if metrics_port is not None:
            server = servers.enter_context(provide_metrics(metrics_port))
            _show_metrics(runner)
            typer.echo(f"Metrics: http://127.0.0.1:{server.port}/metrics", err=True)
        if health_port is not None:
            server = servers.enter_context(serve_health(runner.pool, health_port))
            typer.echo(f"Health: http://127.0.0.1:{server.port}/readyz", err=True)
        runner.start(*found)
        types = ", ".join(sorted(worker.type for worker in found))
        typer.echo(f"{runner.worker_id} takes {types}. Ctrl-C ends it.", err=True)
        runner.wait_workers()


def _log(level: str) -> None:
    """Log to stderr, each line with its worker; not what the HTTP library has to say."""
    from shiftwork.worker import WorkerLogFilter

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT, defaults={"worker": "-"}))
    handler.addFilter(WorkerLogFilter())
    logging.basicConfig(level=level, handlers=[handler])
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _show_metrics(runner: TaskRunner) -> None:
    from prometheus_client import REGISTRY

    runner.show_metrics(REGISTRY)
