"""The exchange of Shiftwork's own workers: one call takes their results and gives them tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import fields
from fields import check, fault_at
from http_messages import Answer, Call
from long_polling import poll_repeatedly
from shiftwork_core import bootstrap
from shiftwork_core.caller import Caller
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.services.polling.reports import Report
from shiftwork_core.services.polling.tasks import Exchanged, Want
from task_delivery import MAX_COUNT, MAX_GIVEN, deliver
from task_views import exchanged_task
from worker_reports import count_reports, from_exchange

MAX_WAIT_S = 20
MAX_RESULTS = 200
MAX_WANTS = 100
MAX_RUNNING = 1000
MAX_ERROR_LENGTH = 1000


def exchange(call: Call) -> Answer:
    """Record the results, claim tasks, and wait for some if there are none and the worker asks."""
    body = call.object()
    given = check("worker_id", body.get("worker_id"), fields.short_text)
    worker_id = check("worker_id", call.caller.name_of(given), fields.name)
    now = bootstrap.world.now()
    reports = [
        from_exchange(result, f"results[{index}]", worker_id, now)
        for index, result in enumerate(_listed(body, "results", MAX_RESULTS))
    ]
    wants = [
        _want(want, f"wants[{index}]")
        for index, want in enumerate(_listed(body, "wants", MAX_WANTS))
    ]
    for want in wants:
        call.caller.require_type(want.type)
    wants = _bounded(wants)
    running = None if body.get("running") is None else _running(body)
    wait_s = check("wait_s", body.get("wait_s"), fields.number_from(0, MAX_WAIT_S))
    exchange_id = check("exchange_id", body.get("exchange_id"), fields.short_text)
    exchange = _Exchange(
        call.caller,
        worker_id,
        exchange_id or bootstrap.world.new_id(),
        wants,
        _News(reports, running, _error(body)),
    )
    limit_s = wait_s if wants else 0
    return exchange.answer(poll_repeatedly(exchange.poll, limit_s, is_over=exchange.is_over))


@dataclass(frozen=True, slots=True)
class _News:
    """What a worker says of its tasks and of itself."""

    reports: Sequence[Report] = ()
    running: list[str] | None = None
    error: str | None = None


class _Exchange:
    """An exchange in several polls: the first takes the worker's news, the others only claim."""

    def __init__(
        self,
        caller: Caller,
        worker_id: str,
        exchange_id: str,
        wants: list[Want],
        news: _News,
    ) -> None:
        self._caller = caller
        self._worker_id = worker_id
        self._exchange_id = exchange_id
        self._wants = wants
        self._news = news
        self._called_at = bootstrap.world.now()
        self._first: Exchanged | None = None
        self._is_drained = False

    def poll(self) -> list[str]:
        news, self._news = self._news, _News()
        found = bootstrap.polling.tasks().exchange(
            self._worker_id,
            news.reports,
            self._wants,
            news.running,
            exchange_id=self._exchange_id,
            called_at=self._called_at,
            error=news.error,
            caller=self._caller,
        )
        self._first = self._first or found
        self._is_drained = found.is_drained
        return deliver(found.tasks, self._worker_id, exchanged_task)

    def is_over(self) -> bool:
        """Whether the worker was drained meanwhile: one that leaves waits for this call to end.

        A worker that was drained before the call waits as others do, and gets jobs once it is
        resumed.
        """
        return self._first is not None and self._is_drained and not self._first.is_drained

    def answer(self, tasks: list[str]) -> Answer:
        assert self._first is not None
        count_reports(self._first.outcomes)
        about = {
            "outcomes": [outcome.value for outcome in self._first.outcomes],
            "stop": self._first.stop,
            "drained": self._is_drained,
        }
        # The tasks are JSON text already.
        return Answer(200, f'{json.dumps(about)[:-1]}, "tasks": [{",".join(tasks)}]}}')


def _error(body: JsonObject) -> str | None:
    """Return the error that the worker reports: empty for none, None if it reports no status."""
    status = body.get("status")
    if status not in (None, "ok", "error"):
        raise fault_at("status", "must be ok or error")
    message = check("error", body.get("error"), fields.long_text)[:MAX_ERROR_LENGTH]
    if status == "error":
        return message or "the worker does not say what is wrong"
    return None if status is None else ""


def _listed(body: JsonObject, name: str, limit: int) -> list[Json]:
    found = check(name, body.get(name), fields.list_of_json)
    if len(found) > limit:
        raise fault_at(name, f"has {len(found):,} entries; {limit:,} are the most")
    return found


def _want(value: Json, path: str) -> Want:
    want = check(path, value, fields.map_of_json)
    return Want(
        check(f"{path}.type", want.get("type"), fields.name),
        round(check(f"{path}.count", want.get("count"), fields.number_from(1, MAX_COUNT))),
        check(f"{path}.domain", want.get("domain"), fields.optional_name),
    )


def _bounded(wants: list[Want]) -> list[Want]:
    """Return the wants, cut to the number of tasks that one answer gives, the first ones first."""
    room, found = MAX_GIVEN, []
    for want in wants:
        if room:
            found.append(replace(want, count=min(want.count, room)))
            room -= found[-1].count
    return found


def _running(body: JsonObject) -> list[str]:
    return [
        check(f"running[{index}]", value, fields.name)
        for index, value in enumerate(_listed(body, "running", MAX_RUNNING))
    ]
