"""Count executions and serve `/metrics`, if prometheus-client is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from shiftwork.worker.background_server import BackgroundServer
from shiftwork.worker.errors import MissingExtra

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter

Outcome = Literal["started", "restarted", "success", "error"]


def label(name: str) -> str:
    """Return the name as a label's value: lower case, `_` for spaces and hyphens."""
    return name.lower().replace(" ", "_").replace("-", "_")


class WorkerMetrics:
    """The pool's counter: `worker_executions_total{worker,status}`.

    Every execution counts as started; all but a worker's first count as restarted too.
    """

    def __init__(self, namespace: str = "", subsystem: str = "") -> None:
        self._executions: Counter | None = None
        try:
            from prometheus_client import Counter
        except ModuleNotFoundError:
            return
        self._executions = Counter(
            "worker_executions_total",
            "Executions of workers, by their outcome.",
            ("worker", "status"),
            namespace=label(namespace),
            subsystem=label(subsystem),
            registry=None,
        )

    def register(self, registry: CollectorRegistry) -> None:
        """Add the metrics to a registry.

        Raises
        ------
        MissingExtra
            If prometheus-client is not installed.
        ValueError
            If the registry already has a metric of that name.
        """
        if self._executions is None:
            raise MissingExtra("prometheus-client", "Showing metrics")
        registry.register(self._executions)

    def count(self, worker: str, outcome: Outcome) -> None:
        """Count one execution of a worker."""
        if self._executions is not None:
            self._executions.labels(label(worker), outcome).inc()


def provide_metrics(
    port: int = 2112, host: str = "0.0.0.0", registry: CollectorRegistry | None = None
) -> BackgroundServer:
    """Serve `/metrics` in a thread until the returned server is stopped.

    Parameters
    ----------
    port
        0: any free port; the returned server's `port` names it.
    registry
        None: prometheus-client's own, which also has the metrics of the process.

    Raises
    ------
    MissingExtra
        If prometheus-client is not installed.
    """
    try:
        import prometheus_client
    except ModuleNotFoundError as error:
        raise MissingExtra("prometheus-client", "Showing metrics") from error
    server, thread = prometheus_client.start_http_server(
        port, host, registry or prometheus_client.REGISTRY
    )
    return BackgroundServer(server, thread)
