"""Run the tasks that a process has claimed, and keep their results until they are reported."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from shiftwork.api.shapes import ClaimedTask
from shiftwork.api.task_shapes import TaskLogLine, TaskReport, Want
from shiftwork.worker.context import WorkerContext
from shiftwork.worker.errors import DuplicateWorker
from shiftwork.worker.executors import Executor, TaskLoop, executor_for
from shiftwork.worker.task import MAX_LINES, Task, TaskResult, TaskStatus
from shiftwork.worker.task_function import TaskFunction, as_object, failed
from shiftwork.worker.task_metrics import TaskMetrics
from shiftwork.worker.task_workers import TaskWorker
from shiftwork.worker.texts import printable

#: A task's lease is renewed after this part of the response timeout...
_RENEWED_AFTER = 0.3
#: ...and at least this often, in seconds, since the answer also says which tasks should stop.
_LONGEST_SILENCE_S = 20.0
#: An exchange carries at most this much: Lambda accepts 6 MB.
_MAX_BYTES = 3_000_000
_MAX_RESULTS = 100
#: The server keeps less of a reason.
_MAX_REASON = 8_000
#: A line of the process's log has so much of it.
_TOLD = 200
#: No task is put back for longer than a year.
_MAX_DELAY_S = 366 * 86_400.0
#: An exchange asks for at most so many tasks of a type: the first one claimed waits for the last.
_MAX_WANTED = 100


@dataclass(frozen=True, slots=True)
class Result:
    """A task's result, or its progress, to be reported.

    Attributes
    ----------
    made_at
        By the loop's clock.
    is_alone
        Whether it is sent in an exchange of its own, since an exchange that contained it was
        refused.
    is_refused
        Whether it replaces a result that was refused.
    """

    type: str
    report: TaskReport
    size_bytes: int
    made_at: float
    is_alone: bool = False
    is_refused: bool = False


@dataclass(eq=False)
class Held:
    """A claimed task.

    Attributes
    ----------
    renewed_at
        When its lease was last claimed, or asked to be renewed, which any exchange does.
    logged_at
        When its log lines were last sent, or would have been; at first as `renewed_at`.
    """

    task: Task
    renewed_at: float
    logged_at: float
    job: asyncio.Task[None] | None = None

    @property
    def renewal_due_at(self) -> float:
        """When its lease should be renewed, or the lines that it has logged be sent."""
        since = min(self.renewed_at, self.logged_at) if self.task.has_lines else self.renewed_at
        return since + self._silence_s

    @property
    def lines_due_at(self) -> float:
        """When its log lines may be sent: each time costs the server writes."""
        return self.logged_at + self._silence_s

    @property
    def _silence_s(self) -> float:
        timeout_s = self.task.response_timeout_s or 60.0
        return min(timeout_s * _RENEWED_AFTER, _LONGEST_SILENCE_S)


class TasksInHand:
    """Runs claimed tasks, each with the function of its type, and collects their results.

    Parameters
    ----------
    changed
        Called when there is a new result.
    """

    def __init__(self, metrics: TaskMetrics, changed: Callable[[], None]) -> None:
        self.held: dict[str, Held] = {}
        self.results: deque[Result] = deque()
        self._metrics = metrics
        self._changed = changed
        self._workers: dict[str, TaskWorker] = {}
        self._executors: dict[str, Executor] = {}
        self._loop = TaskLoop()

    def add(self, worker: TaskWorker, executor: Executor | None = None) -> None:
        """Accept tasks of another type.

        Parameters
        ----------
        executor
            Runs its function; None: the one that suits the function.

        Raises
        ------
        DuplicateWorker
            If there already is a worker of that type.
        """
        if worker.type in self._workers:
            raise DuplicateWorker(worker.type)
        function = TaskFunction(worker.function)
        self._executors[worker.type] = executor or executor_for(
            function, worker.processes, self._loop
        )
        self._workers[worker.type] = worker

    @property
    def routes(self) -> list[str]:
        """The types of task that it accepts."""
        return list(self._workers)

    @property
    def limit(self) -> int:
        """How many tasks it runs at once."""
        return sum(worker.capacity for worker in list(self._workers.values()))

    @property
    def poll_interval_s(self) -> float:
        """The shortest of its workers' intervals."""
        return min((w.poll_interval_s for w in list(self._workers.values())), default=1.0)

    def wants(self, reserved: Counter[str]) -> list[Want]:
        """Return how many more tasks of each type there is room for, besides the reserved ones."""
        taken = reserved + Counter(held.task.type for held in self.held.values())
        rooms = ((w, w.capacity - taken[w.type]) for w in list(self._workers.values()))
        return [
            {"type": worker.type, "count": min(room, _MAX_WANTED), "domain": worker.domain}
            for worker, room in rooms
            if room > 0
        ]

    def start(self, claimed: ClaimedTask, ctx: WorkerContext, claimed_at: float) -> None:
        """Start a claimed task, unless the answer repeats one that already runs."""
        task = Task.of(claimed)
        before = self.held.get(task.task_id)
        if before is not None:
            if before.task.fence == task.fence:
                return
            before.task.stop.set()  # Its lease had run out, and we have claimed it again.
        held = self.held[task.task_id] = Held(task, claimed_at, claimed_at)
        held.job = asyncio.create_task(self._do(held, ctx))

    async def _do(self, held: Held, ctx: WorkerContext) -> None:
        task = held.task
        clock = asyncio.get_running_loop().time
        started = clock()
        task.logger.info("%s started, %s of %s", task.job, task.type, task.task_id)
        with ctx.tracer.start_as_current_span(f"task {task.type}") as span:
            span.set_attribute("task.id", task.task_id)
            span.set_attribute("task.type", task.type)
            span.set_attribute("task.attempt", task.attempt)
            try:
                result = await self._executors[task.type].run(task)
            except Exception as error:
                result = failed(error, task)
            span.set_attribute("task.status", result.status)
        is_error = result.status not in (TaskStatus.COMPLETED, TaskStatus.IN_PROGRESS)
        self._metrics.executed(task.type, clock() - started, is_error=is_error)
        if self.held.get(task.task_id) is held:
            del self.held[task.task_id]
            self._finish(task, result, clock())
            told = _told(self.results[-1].report)
            task.logger.info("%s %s, after %.1f s", task.job, told, clock() - started)
        self._changed()

    def _finish(self, task: Task, result: TaskResult, now: float) -> None:
        try:
            output, size_bytes = as_object(result.output)
            status, reason = TaskStatus(result.status), printable(result.reason)
            said = [printable(line) for line in result.logs]
        except BaseException as error:  # Whatever the values raise, and whatever kind they are of.
            result, output, size_bytes, said = failed(error, task), {}, 2, []
            status, reason = result.status, result.reason
        self._metrics.resulted(task.type, size_bytes)
        report = _report(task, status, reason)
        report["output"] = output
        report["callback_after_s"] = _seconds(result.callback_after_s)
        at = datetime.now(UTC).isoformat()
        lines = [TaskLogLine(at=at, message=line) for line in said]
        report["logs"] = (report["logs"] + lines)[-MAX_LINES:]
        size_bytes += sum(len(line["message"]) for line in report["logs"])
        self.results.append(Result(task.type, report, size_bytes, now))

    def give_back_unstarted(self, claimed: ClaimedTask, now: float) -> None:
        """Give back a task that has not been started."""
        self.results.append(_given_back(Task.of(claimed), now))

    def give_back_all(self, now: float) -> int:
        """Give back all tasks, so that another worker gets them at once; return how many."""
        held = list(self.held.values())
        self.held.clear()
        for entry in held:
            entry.task.stop.set()
            self.results.append(_given_back(entry.task, now))
        return len(held)

    def stop(self, task_ids: Iterable[str]) -> None:
        """Tell the functions of these tasks to stop: their results will not count."""
        for task_id in task_ids:
            if (held := self.held.get(task_id)) is not None and not held.task.should_stop:
                held.task.logger.info("The task should stop: its result will not count.")
                held.task.stop.set()

    # -- the results in an exchange ----------------------------------------------------------------

    def take_results(self) -> list[Result]:
        """Remove and return as many results as fit into an exchange, oldest first."""
        taken: list[Result] = []
        size_bytes = 0
        while self.results and len(taken) < _MAX_RESULTS:
            result = self.results[0]
            size_bytes += result.size_bytes
            if taken and (result.is_alone or taken[0].is_alone or size_bytes > _MAX_BYTES):
                break
            taken.append(self.results.popleft())
        return taken

    def refuse(self, results: Sequence[Result], reason: str) -> None:
        """Send each of the results alone, to find the refused one; that one fails its task."""
        for result in reversed(results):
            if len(results) > 1 or not result.is_alone:
                self.results.appendleft(replace(result, is_alone=True))
            elif not result.is_refused and not result.report["extend_lease"]:
                report = {
                    **result.report,
                    "status": TaskStatus.FAILED_WITH_TERMINAL_ERROR,
                    "output": {},
                    "reason": f"The result was refused: {reason}",
                    "logs": [],
                }
                failure = replace(result, report=report, is_refused=True)  # type: ignore[arg-type]
                self.results.appendleft(failure)

    def take_renewals(self, now: float) -> list[Result]:
        """Return the log lines of tasks that are due, as results that change nothing.

        All tasks count as renewed now: the same exchange names them all.
        """
        renewals = []
        for held in self.held.values():
            held.renewed_at = now
            if now < held.lines_due_at:
                continue
            held.logged_at = now
            report = _report(held.task, TaskStatus.IN_PROGRESS, "")
            if report["logs"]:
                report["extend_lease"] = True
                renewals.append(Result(held.task.type, report, 0, now))
        return renewals

    def close(self) -> None:
        """Release the threads and processes."""
        for executor in self._executors.values():
            executor.close()
        self._loop.stop()


def _report(task: Task, status: TaskStatus, reason: str) -> TaskReport:
    return {
        "task_id": task.task_id,
        "fence": task.fence,
        "status": status,
        "output": {},
        "reason": printable(reason, _MAX_REASON),
        "callback_after_s": 0.0,
        "extend_lease": False,
        "logs": task.take_lines(),
    }


def _told(report: TaskReport) -> str:
    """Return how a task has ended, for people; of a long reason the beginning."""
    reason = " ".join(report["reason"].split())[:_TOLD]
    match report["status"]:
        case TaskStatus.COMPLETED:
            return "done"
        case TaskStatus.IN_PROGRESS:
            return f"put back for {report['callback_after_s']:g} s"
        case TaskStatus.FAILED:
            return f"failed: {reason}; its type may retry it"
    return f"failed for good: {reason}"


def _seconds(given: Any) -> float:
    """Return a delay that a function gave, zero if it is no number that JSON has."""
    is_number = isinstance(given, (int, float)) and abs(given) < _MAX_DELAY_S
    return float(given) if is_number else 0.0


def _given_back(task: Task, now: float) -> Result:
    return Result(task.type, _report(task, TaskStatus.IN_PROGRESS, "The worker stops"), 0, now)
