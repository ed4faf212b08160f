"""Claim tasks and report results, in one loop of exchanges for all workers of a process.

While the server has no tasks, the poller asks after pauses that grow. Or, by choice, one call waits
at the server (long polling), and a second call carries what must not wait meanwhile: results and
lease renewals. If room appears for a type that the waiting call did not ask for, another call waits
for that type until the first one's time is over; then one call asks for all types again.

A call whose answer is lost is repeated unchanged, under the same id, until it is answered: so every
claimed task is run, and every result is reported.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from shiftwork.api.async_client import AsyncShiftworkClient
from shiftwork.api.errors import ApiError, NotFound, ShiftworkError, Unauthorized
from shiftwork.api.retries import backoff_s, is_transient
from shiftwork.api.shapes import ExchangeAnswer
from shiftwork.api.task_shapes import Want
from shiftwork.worker.context import WorkerContext
from shiftwork.worker.exchange import Exchange
from shiftwork.worker.pauses import Pauses
from shiftwork.worker.record import WorkerRecord
from shiftwork.worker.task_metrics import TaskMetrics
from shiftwork.worker.tasks_in_hand import TasksInHand

#: A call waits for tasks at most this long: the server's bound.
WAIT_S = 20.0
#: A waiting call may be answered so much early, since the server checks only at intervals.
_EARLY_S = 0.5
_SHORTEST_WAIT_S = 1.0
_OVERDUE_S = 5.0
#: Results wait this long for others that follow closely.
_LINGER_S = 0.02
#: After an answer that left room, the next poll waits this long, to take results along.
_SETTLE_S = 0.1
#: A call that fails is repeated after at most this.
_LONGEST_BACKOFF_S = 15.0
#: Giving tasks back may take this long after the grace period.
_LAST_S = 5.0

#: The lane of the call that does not wait at the server...
_WORKING = 0
#: ...and the lanes of those that do.
_WAITING = range(1, 5)


@dataclass(frozen=True, slots=True)
class PollerOptions:
    """How a poller waits for tasks, stops, and gives up.

    Attributes
    ----------
    is_waiting
        Whether to wait at the server for tasks, which keeps an invocation busy there. If not, the
        poller asks after pauses that grow from the workers' `poll_interval_s` while there are none.
    grace_s
        How long tasks may take to end, once the poller is to stop, before it gives them back.
    max_attempts
        The pool runs the poller so many times altogether while it fails.
    """

    is_waiting: bool = False
    grace_s: float = 25.0
    max_attempts: int = 1


class Poller:
    """A worker of a pool that claims tasks for the process and reports their results.

    Parameters
    ----------
    on_give_up
        Called when the last attempt fails.
    """

    name = "task poller"

    def __init__(
        self,
        client: AsyncShiftworkClient,
        record: WorkerRecord,
        metrics: TaskMetrics,
        options: PollerOptions | None = None,
        *,
        on_give_up: Callable[[], None] = lambda: None,
    ) -> None:
        self.tasks = TasksInHand(metrics, self._wake_up)
        self._client = client
        self._record = record
        self._metrics = metrics
        self._options = options or PollerOptions()
        self._on_give_up = on_give_up
        # This state outlives a failed execution: the next one continues from it.
        self._unanswered: dict[int, Exchange] = {}
        self._poll_at = 0.0
        self._pauses = Pauses()
        self._is_drained = False
        self._stop_by: float | None = None
        # This state belongs to one execution.
        self._senders: dict[int, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """Make the poller check at once what there is to send; for other threads."""
        if self._loop is not None:
            with suppress(RuntimeError):  # It has been closed.
                self._loop.call_soon_threadsafe(self._woken.set)

    def give_back_now(self) -> None:
        """Give back the tasks that run, as once the grace period is over; for other threads."""
        if self._loop is not None:
            with suppress(RuntimeError):  # It has been closed.
                self._loop.call_soon_threadsafe(self._end_grace)

    def _end_grace(self) -> None:
        self._stop_by = min(self._now(), self._stop_by or math.inf)
        self._woken.set()

    def _wake_up(self) -> None:
        self._woken.set()

    async def run(self, ctx: WorkerContext) -> None:
        """Exchange until the context is cancelled and all tasks have ended or been given back."""
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        watching = asyncio.create_task(self._watch(ctx))
        try:
            await self._register(ctx)
            self._record.troubles.pop(self.name, None)
            while not self._is_over():
                self._send_what_is_due(ctx)
                await self._wait_for_more()
            self.tasks.close()
        except Exception as error:
            await self._record.report_trouble(self.name, f"{type(error).__name__}: {error}")
            if ctx.attempt >= self._options.max_attempts:
                self._on_give_up()
            raise
        finally:
            for task in (watching, *self._senders.values()):
                task.cancel()
            self._senders.clear()

    async def _wait_for_more(self) -> None:
        """Return when there may be something to send."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._next_look_at()):
                await self._woken.wait()
        self._woken.clear()

    # -- start and end ---------------------------------------------------------------------------

    async def _register(self, ctx: WorkerContext) -> None:
        """Register this worker; wait until the server answers."""
        tries = 0
        while not ctx.is_cancelled:
            try:
                await self._record.register(self.tasks.routes, self.tasks.limit)
                return
            except ShiftworkError as error:
                if not is_transient(error):
                    raise
                tries += 1
                ctx.logger.warning("Registering failed, attempt %d: %s", tries, error)
            await ctx.wait_async(_backoff_s(tries))

    async def _watch(self, ctx: WorkerContext) -> None:
        """Start the grace period once the context is cancelled."""
        await ctx.cancellation.wait_async()
        if self._stop_by is None:
            self._stop_by = asyncio.get_running_loop().time() + self._options.grace_s
            self._woken.set()
            if any(lane in self._unanswered for lane in _WAITING):
                await self._record.leave()  # Makes the server answer the waiting calls soon.

    @property
    def _is_stopping(self) -> bool:
        return self._stop_by is not None

    def _is_over(self) -> bool:
        if self._stop_by is None:
            return False
        is_empty = not (self.tasks.held or self.tasks.results or self._unanswered)
        return is_empty or self._now() >= self._stop_by + _LAST_S

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # -- what to send, and when ------------------------------------------------------------------

    def _send_what_is_due(self, ctx: WorkerContext) -> None:
        now = self._now()
        if self._stop_by is not None and now >= self._stop_by and self.tasks.held:
            ctx.logger.warning("Giving %d tasks back.", self.tasks.give_back_all(now))
        for lane in (*_WAITING, _WORKING):
            if (sender := self._senders.get(lane)) is not None:
                if not sender.done():
                    continue
                del self._senders[lane]
                sender.result()
            exchange = self._unanswered.get(lane) or self._next(lane, now)
            if exchange is not None:
                self._unanswered[lane] = exchange
                sender = asyncio.create_task(self._send(lane, exchange, ctx))
                sender.add_done_callback(lambda _: self._wake_up())
                self._senders[lane] = sender

    def _next(self, lane: int, now: float) -> Exchange | None:
        """Return the exchange that the lane should send now, if any."""
        has_results = self._has_results(now)
        wants = self._wants()
        is_polling = has_results or now >= self._poll_at
        wait_s = 0.0
        if lane in _WAITING:
            wait_s = self._remaining_wait_s(now)
            is_due = is_polling and wait_s > 0 and self._is_uncovered(wants)
        else:
            is_looking = not self._options.is_waiting and bool(wants) and is_polling
            is_due = is_looking or has_results or now >= self._renewal_due_at()
        if not is_due:
            return None
        results = self.tasks.take_results()
        if not any(result.is_alone for result in results):
            results += self.tasks.take_renewals(now)
        return Exchange(results, wants, list(self.tasks.held), wait_s, now)

    def _waiting_calls(self) -> list[Exchange]:
        return [self._unanswered[lane] for lane in _WAITING if lane in self._unanswered]

    def _is_uncovered(self, wants: list[Want]) -> bool:
        """Whether there is room for a type of task that no call waits for."""
        covered = {type_ for call in self._waiting_calls() for type_ in call.types}
        return self._options.is_waiting and any(want["type"] not in covered for want in wants)

    def _remaining_wait_s(self, now: float) -> float:
        """Return how long a new call should wait: no longer than those that already wait.

        So they all end together and one call follows. 0: they end now; wait for that call instead.
        """
        ends = (call.first_sent_at + call.wait_s - now for call in self._waiting_calls())
        # A call that is long overdue was lost, and is being repeated.
        remaining_s = min((end for end in ends if end > -_OVERDUE_S), default=WAIT_S)
        return remaining_s if remaining_s >= _SHORTEST_WAIT_S else 0.0

    def _has_results(self, now: float) -> bool:
        """Whether there are results that should wait no longer for others."""
        results = self.tasks.results
        return bool(results) and (not self.tasks.held or now >= results[0].made_at + _LINGER_S)

    def _wants(self) -> list[Want]:
        """Return the tasks to ask for: none while stopping, or with a result that is sent alone."""
        results = self.tasks.results
        if self._is_stopping or (results and results[0].is_alone):
            return []
        reserved = Counter[str]()
        for exchange in self._unanswered.values():
            for want in exchange.wants:
                reserved[want["type"]] += want["count"]
        return self.tasks.wants(reserved)

    def _renewal_due_at(self) -> float:
        return min((h.renewal_due_at for h in self.tasks.held.values()), default=float("inf"))

    def _next_look_at(self) -> float | None:
        """Return when there may be something to send if nothing happens earlier."""
        times = []
        if _WORKING not in self._unanswered:
            times.append(self._renewal_due_at())
            if self.tasks.results:
                times.append(self.tasks.results[0].made_at + _LINGER_S)
        if self._may_poll():
            times.append(self._poll_at)
        if self._stop_by is not None:
            is_over = self._now() >= self._stop_by
            times.append(self._stop_by + (_LAST_S if is_over else 0.0))
        return min(times, default=None)

    def _may_poll(self) -> bool:
        """Whether a call could ask for tasks when its time comes."""
        wants = self._wants()
        if self._options.is_waiting:
            has_lane = any(lane not in self._unanswered for lane in _WAITING)
            is_time = self._remaining_wait_s(self._now()) > 0
            return has_lane and is_time and self._is_uncovered(wants)
        return bool(wants) and _WORKING not in self._unanswered

    # -- sending ---------------------------------------------------------------------------------

    async def _send(self, lane: int, exchange: Exchange, ctx: WorkerContext) -> None:
        """Send the exchange until it is answered or refused."""
        while True:
            sent_at = self._now()
            token = self._client.token
            self._metrics.polled(exchange.types)
            try:
                answer = await self._client.exchange(
                    self._record.worker_id,
                    results=[result.report for result in exchange.results],
                    wants=exchange.wants,
                    running=exchange.running,
                    wait_s=0.0 if self._is_stopping else exchange.wait_s,
                    status="error" if self._record.trouble else "ok",
                    error=self._record.trouble,
                    exchange_id=exchange.exchange_id,
                    is_patient=False,
                )
            except ShiftworkError as error:
                self._count_failure(exchange, error)
                exchange.tries += 1
                if isinstance(error, Unauthorized):
                    await self._record.renew(token, error)
                elif not is_transient(error):
                    self._handle_refusal(exchange, error, ctx)
                    del self._unanswered[lane]
                    return
                ctx.logger.warning("Exchange failed, attempt %d: %s", exchange.tries, error)
                asked_s = getattr(error, "retry_after_s", None) or 0.0
                await asyncio.sleep(asked_s + _backoff_s(exchange.tries))
            else:
                del self._unanswered[lane]
                self._metrics.poll_took(exchange.types, self._now() - sent_at)
                self._apply(lane, exchange, answer, sent_at, ctx)
                return

    def _count_failure(self, exchange: Exchange, error: ShiftworkError) -> None:
        status = str(error.status) if isinstance(error, ApiError) else "none"
        self._metrics.poll_failed(exchange.types, status, is_repeat=exchange.tries > 0)
        for result in exchange.results:
            self._metrics.update_failed(result.type)

    def _handle_refusal(
        self, exchange: Exchange, error: ShiftworkError, ctx: WorkerContext
    ) -> None:
        """Continue without the result that the server refused; raise if there was none."""
        if not exchange.results or isinstance(error, NotFound):
            raise error
        ctx.logger.error(
            "The server refused an exchange of %d results: %s", len(exchange.results), error
        )
        self.tasks.refuse(exchange.results, str(error))

    def _apply(
        self,
        lane: int,
        exchange: Exchange,
        answer: ExchangeAnswer,
        sent_at: float,
        ctx: WorkerContext,
    ) -> None:
        """Apply the answer: stop and start tasks, and schedule the next poll."""
        now = self._now()
        for result, outcome in zip(exchange.results, answer["outcomes"], strict=False):
            if outcome in ("late", "unknown", "stop"):
                task_id = result.report["task_id"]
                ctx.logger.info("The report on %s does not count: %s.", task_id, outcome)
                self.tasks.stop([task_id])
        self.tasks.stop(answer["stop"])
        if answer["drained"] != self._is_drained and not self._is_stopping:
            self._is_drained = answer["drained"]
            ctx.logger.info(
                "Drained: no more tasks." if self._is_drained else "Resumed: tasks again."
            )
        for claimed in answer["tasks"]:
            if self._is_stopping:
                self.tasks.give_back_unstarted(claimed, now)
            else:
                self.tasks.start(claimed, ctx, exchange.first_sent_at)
        if answer["tasks"]:
            room = Counter({want["type"]: want["count"] for want in exchange.wants})
            got = Counter(claimed["type"] for claimed in answer["tasks"])
            is_emptied = any(got[type_] < room[type_] for type_ in got)
            self._pauses.end()
            self._poll_at = now + (_SETTLE_S if is_emptied else 0.0)
        elif lane in _WAITING and now - sent_at >= exchange.wait_s - _EARLY_S:
            self._pauses.end()
            self._poll_at = max(self._poll_at, sent_at + _EARLY_S)
        elif exchange.wants and (lane in _WAITING or not self._options.is_waiting):
            self._poll_at = max(now, sent_at + self._pauses.next_s(self.tasks.poll_interval_s))


def _backoff_s(tries: int) -> float:
    return backoff_s(tries, longest_s=_LONGEST_BACKOFF_S, least=0.5)
