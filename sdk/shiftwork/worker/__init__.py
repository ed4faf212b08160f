"""Workers: a task runner for polled jobs, and a pool that runs, restarts and monitors workers.

from shiftwork.worker import TaskRunner

runner = TaskRunner()
runner.start_worker("parcels.pack", pack, batch_size=4)
runner.wait_workers()

from shiftwork.worker import WorkerPool

with WorkerPool(max_executions_attempts=3) as pool:
    pool.register(MyWorker())
    pool.wait()
"""

from shiftwork.worker.background_server import BackgroundServer
from shiftwork.worker.clock import Clock, Signal
from shiftwork.worker.context import WorkerContext, WorkerLogFilter, current_worker
from shiftwork.worker.errors import (
    DuplicateWorker,
    MissingExtra,
    StopTimedOut,
    UnknownWorker,
    WorkerPoolError,
    WrongState,
)
from shiftwork.worker.execution import ExecutionEvent, ExecutionStatus, WorkerExecution
from shiftwork.worker.health import ProbeResult, WorkerProbe, serve_health
from shiftwork.worker.metrics import WorkerMetrics, provide_metrics
from shiftwork.worker.pool import WorkerPool
from shiftwork.worker.runner import TaskRunner
from shiftwork.worker.span_annotation import annotate_tracer_provider
from shiftwork.worker.supervisor import Middleware, Run, Worker
from shiftwork.worker.task import Failure, Retry, Task, TaskResult, TaskStatus
from shiftwork.worker.task_metrics import TaskMetrics
from shiftwork.worker.task_workers import TaskWorker, worker_task

__all__ = [
    "BackgroundServer",
    "Clock",
    "DuplicateWorker",
    "ExecutionEvent",
    "ExecutionStatus",
    "Failure",
    "Middleware",
    "MissingExtra",
    "ProbeResult",
    "Retry",
    "Run",
    "Signal",
    "StopTimedOut",
    "Task",
    "TaskMetrics",
    "TaskResult",
    "TaskRunner",
    "TaskStatus",
    "TaskWorker",
    "UnknownWorker",
    "Worker",
    "WorkerContext",
    "WorkerExecution",
    "WorkerLogFilter",
    "WorkerMetrics",
    "WorkerPool",
    "WorkerPoolError",
    "WorkerProbe",
    "WrongState",
    "annotate_tracer_provider",
    "current_worker",
    "provide_metrics",
    "serve_health",
    "worker_task",
]
