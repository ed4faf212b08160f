"""Check a pool's health: a probe, and an HTTP server that answers an orchestrator's checks."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shiftwork.worker.background_server import BackgroundServer
from shiftwork.worker.execution import ExecutionStatus
from shiftwork.worker.pool import WorkerPool

_UNHEALTHY = (ExecutionStatus.UNKNOWN, ExecutionStatus.ERROR)
#: How long a pool's event loop may take to answer and still count as alive.
_LOOP_ANSWERS_S = 2.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of a check; `message` lists every worker as `name: status`."""

    is_healthy: bool
    message: str


class WorkerProbe:
    """Fails if any worker is `unknown` or `error`; a pool without workers is healthy."""

    name = "worker"

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    def check(self) -> ProbeResult:
        """Check the pool now."""
        executions = self._pool.executions()
        return ProbeResult(
            is_healthy=not any(e.status in _UNHEALTHY for e in executions.values()),
            message=", ".join(f"{name}: {e.status}" for name, e in executions.items()),
        )


def serve_health(pool: WorkerPool, port: int = 8081, host: str = "0.0.0.0") -> BackgroundServer:
    """Answer `/livez` and `/readyz` with 200 or 503, for an orchestrator.

    `/livez` fails if the pool's event loop does not answer: a coroutine blocks it, and only a new
    process helps. `/readyz` fails when `WorkerProbe` does.

    Parameters
    ----------
    port
        0: any free port; the returned server's `port` names it.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/livez":
                    is_alive = pool.is_responsive(_LOOP_ANSWERS_S)
                    result = ProbeResult(is_alive, "alive" if is_alive else "the loop is blocked")
                case "/readyz":
                    result = WorkerProbe(pool).check()
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, "There are /livez and /readyz.")
                    return
            good, bad = HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(good if result.is_healthy else bad, result.message)

        def _answer(self, status: HTTPStatus, text: str) -> None:
            body = f"{text}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: an orchestrator asks every few seconds."""

    server = ThreadingHTTPServer((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, name="worker health", daemon=True)
    thread.start()
    return BackgroundServer(server, thread)
