"""One call of our own workers: results in, tasks out."""

from __future__ import annotations

import json
from dataclasses import replace

import http_messages as calls
from http_messages import MAX_COUNT, MAX_GIVEN, Answer, Call, check
from long_polling import look_until
from shiftwork_core import bootstrap
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.services.polling.reports import Report
from shiftwork_core.services.polling.tasks import Exchanged, Want
from shiftwork_core.telemetry import metrics
from task_delivery import deliver
from task_views import exchanged_task
from worker_reports import from_exchange

MAX_WAIT_S = 20
MAX_RESULTS = 200
MAX_WANTS = 100
MAX_RUNNING = 1000
MAX_ERROR_LENGTH = 1000


def exchange(call: Call) -> Answer:
    """Take results and give tasks; wait for some if the caller wants to, and there are none."""
    body = call.object()
    worker_id = check("worker_id", body.get("worker_id"), calls.name)
    call.caller.require(worker_id)
    now = bootstrap.world.now()
    reports = [
        from_exchange(result, f"results[{index}]", worker_id, now)
        for index, result in enumerate(_listed(body, "results", MAX_RESULTS))
    ]
    wants = [
        _want(want, f"wants[{index}]")
        for index, want in enumerate(_listed(body, "wants", MAX_WANTS))
    ]
    wants = _bounded(wants)
    running = None if body.get("running") is None else _running(body)
    wait_s = check("wait_s", body.get("wait_s"), calls.number_from(0, MAX_WAIT_S))
    exchange_id = check("exchange_id", body.get("exchange_id"), calls.short_text)
    exchange = _Exchange(
        worker_id, exchange_id or bootstrap.world.new_id(), wants, reports, running, _error(body)
    )
    limit_s = wait_s if wants else 0
    return exchange.answer(look_until(exchange.look, limit_s, is_vain=exchange.is_vain))


class _Exchange:
    """An exchange whose results are taken at the first look; the later ones only poll."""

    def __init__(
        self,
        worker_id: str,
        exchange_id: str,
        wants: list[Want],
        reports: list[Report],
        running: list[str] | None,
        error: str | None,
    ) -> None:
        self._worker_id = worker_id
        self._exchange_id = exchange_id
        self._wants = wants
        self._reports = reports
        self._running = running
        self._error = error
        self._first: Exchanged | None = None
        self._is_drained = False

    def look(self) -> list[str]:
        found = bootstrap.polling.tasks().exchange(
            self._worker_id,
            [] if self._first else self._reports,
            self._wants,
            None if self._first else self._running,
            exchange_id=self._exchange_id,
            error=None if self._first else self._error,
        )
        self._first = self._first or found
        self._is_drained = found.is_drained
        return deliver(found.tasks, self._worker_id, exchanged_task)

    def is_vain(self) -> bool:
        """Whether the worker is given nothing any more: who leaves, waits for this call to end.

        One that is drained from the beginning waits as others do, and has jobs when it is resumed.
        """
        return self._first is not None and self._is_drained and not self._first.is_drained

    def answer(self, tasks: list[str]) -> Answer:
        assert self._first is not None
        for outcome in self._first.outcomes:
            name = f"Tasks{outcome.value.title().replace('-', '')}"
            metrics.add_metric(name=name, unit="Count", value=1)
        about = {
            "outcomes": [outcome.value for outcome in self._first.outcomes],
            "stop": self._first.stop,
            "drained": self._is_drained,
        }
        # The tasks are text already.
        return Answer(200, f'{json.dumps(about)[:-1]}, "tasks": [{",".join(tasks)}]}}')


def _error(body: JsonObject) -> str | None:
    """Return what the worker says is wrong with it, empty for nothing, None if it does not say."""
    status = body.get("status")
    if status not in (None, "ok", "error"):
        raise calls.refusal("status", "must be ok or error")
    message = check("error", body.get("error"), calls.long_text)[:MAX_ERROR_LENGTH]
    if status == "error":
        return message or "the worker does not say what is wrong"
    return None if status is None else ""


def _listed(body: JsonObject, name: str, limit: int) -> list[Json]:
    found = check(name, body.get(name), calls.list_of_json)
    if len(found) > limit:
        raise calls.refusal(name, f"has {len(found):,} entries; {limit:,} are the most")
    return found


def _want(value: Json, path: str) -> Want:
    want = check(path, value, calls.map_of_json)
    return Want(
        check(f"{path}.type", want.get("type"), calls.name),
        round(check(f"{path}.count", want.get("count"), calls.number_from(1, MAX_COUNT))),
        check(f"{path}.domain", want.get("domain"), calls.short_text),
    )


def _bounded(wants: list[Want]) -> list[Want]:
    """Return the wants, as far as one answer gives tasks; the first come first."""
    room, found = MAX_GIVEN, []
    for want in wants:
        if room:
            found.append(replace(want, count=min(want.count, room)))
            room -= found[-1].count
    return found


def _running(body: JsonObject) -> list[str]:
    return [
        check(f"running[{index}]", value, calls.name)
        for index, value in enumerate(_listed(body, "running", MAX_RUNNING))
    ]
