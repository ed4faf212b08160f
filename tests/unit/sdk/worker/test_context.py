"""Log records name the worker and its execution."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from shiftwork.worker import (
    WorkerContext,
    WorkerLogFilter,
    WorkerPool,
    current_worker,
)
from tests.unit.sdk.worker.function_worker import FunctionWorker, numbered

LIBRARY = logging.getLogger("some.library")


class Records(logging.Handler):
    """Keeps every record with its fields, as `message worker/execution`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = record.__dict__
        worker, execution = fields.get("worker", "-"), fields.get("workerExecutionID", "-")
        self.lines.append(f"{record.getMessage()} {worker}/{execution}")


@pytest.fixture
def records() -> Iterator[Records]:
    """Return the records that the root logger's handler gets, with the filter on it."""
    handler, root = Records(), logging.getLogger()
    handler.addFilter(WorkerLogFilter())
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.INFO)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


def run_once(*workers: FunctionWorker) -> None:
    pool = WorkerPool(new_id=numbered(), max_executions_attempts=2)
    for worker in workers:
        pool.register(worker)
    with pool:
        pool.wait()


def test_the_log_records_of_the_pool_and_the_worker_name_the_execution(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def run(ctx: WorkerContext) -> None:
        ctx.logger.info("copying", extra={"files": 3, "worker": "somebody else"})
        if ctx.attempt == 1:
            raise ValueError("boom")

    with caplog.at_level(logging.INFO, "shiftwork.worker"):
        run_once(FunctionWorker(run, "copier"))
    found = [(r.getMessage(), r.__dict__["workerExecutionID"]) for r in caplog.records]
    assert found == [
        ("starting attempt 1 of 2", "id-1"),
        ("copying", "id-1"),
        ("stopping attempt 1 of 2 with error: ValueError: boom", "id-1"),
        ("restarting after error", "id-1"),
        ("starting attempt 2 of 2", "id-2"),
        ("copying", "id-2"),
        ("stopping attempt 2 of 2 with success", "id-2"),
    ]
    assert {r.__dict__["worker"] for r in caplog.records} == {"copier"}
    assert caplog.records[1].__dict__["files"] == 3
    assert caplog.records[2].levelno == logging.ERROR
    assert "ValueError: boom" in caplog.text and "Traceback" in caplog.text


def test_a_pool_logs_to_the_given_logger(records: Records) -> None:
    pool = WorkerPool(logger=logging.getLogger("mine"), new_id=numbered())
    pool.register(FunctionWorker(lambda ctx: ctx.logger.info("hello")))
    with pool:
        pool.wait()
    assert "hello worker/id-1" in records.lines


def test_log_records_of_other_loggers_name_the_execution_too(records: Records) -> None:
    def run(ctx: WorkerContext) -> None:
        LIBRARY.info("sync")

    async def run_async(ctx: WorkerContext) -> None:
        LIBRARY.info("async")
        await asyncio.create_task(in_a_task())
        await asyncio.to_thread(LIBRARY.info, "in a thread")

    async def in_a_task() -> None:
        LIBRARY.info("in a task")

    LIBRARY.info("before")
    run_once(FunctionWorker(run, "one"), FunctionWorker(run_async, "two"))
    LIBRARY.info("after")
    assert {line for line in records.lines if "attempt" not in line} == {
        "before -/-",
        "sync one/id-1",
        "async two/id-2",
        "in a task two/id-2",
        "in a thread two/id-2",
        "after -/-",
    }


def test_the_filter_keeps_fields_that_a_record_already_has(records: Records) -> None:
    def run(ctx: WorkerContext) -> None:
        LIBRARY.info("of another", extra={"worker": "other", "workerExecutionID": "x"})

    run_once(FunctionWorker(run))
    assert "of another other/x" in records.lines


def test_the_current_worker_is_known_only_within_its_run() -> None:
    seen: list[WorkerContext | None] = []

    def run(ctx: WorkerContext) -> None:
        seen.append(current_worker())
        assert seen == [ctx]

    assert current_worker() is None
    run_once(FunctionWorker(run, "copier"))
    assert current_worker() is None
    assert seen[0] is not None and (seen[0].name, seen[0].execution_id) == ("copier", "id-1")
