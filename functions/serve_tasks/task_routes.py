"""Routes of tasks: poll for them, report on them, read their logs and queues."""

from __future__ import annotations

import json
from dataclasses import replace

import fields
from fields import check, fault_at
from http_messages import DONE, NOTHING, Answer, Call, json_answer, text_answer
from long_polling import poll_repeatedly
from shiftwork_core import bootstrap
from shiftwork_core.caller import Caller
from shiftwork_core.domain.names import KEY_SEPARATOR
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.queue_names import queue_name
from shiftwork_core.domain.requests.records import LogLine, parse_attempt_id
from shiftwork_core.errors import NotFound
from shiftwork_core.services.polling.lookup import HeldTask
from shiftwork_core.services.polling.reports import Report, Reported
from shiftwork_core.services.polling.tasks import Poller
from task_definitions import epoch_ms
from task_delivery import MAX_COUNT, MAX_GIVEN, deliver
from task_views import conductor_task, log_view
from worker_reports import count_reports, from_task_result, status_of

#: Conductor's own bound.
MAX_TIMEOUT_MS = 5000
#: How many queues one call may ask about: each is counted by itself.
MAX_QUEUES = 100
#: The id of a worker that names none when it polls. It has no worker record.
ANONYMOUS = ""


def poller_of(call: Call) -> Poller:
    """Return the worker that polls, and its domain; its call has just arrived.

    Raises
    ------
    Forbidden
        If the call's token is another worker's.
    """
    worker_id = call.caller.name_of(call.text("workerid")) or ANONYMOUS
    return Poller(worker_id, call.text("domain", fields.optional_name), bootstrap.world.now())


def poll(call: Call) -> Answer:
    """Claim one task; answer 204 if none is queued."""
    task_type = _type_of(call)
    return _one(_poll(task_type, poller_of(call), 1))


def poll_batch(call: Call) -> Answer:
    """Claim up to `count` tasks; while there are none, poll again until `timeout` is over."""
    task_type = _type_of(call)
    poller = poller_of(call)
    count = min(MAX_GIVEN, call.number("count", 1, 1, MAX_COUNT))
    timeout_ms = call.number("timeout", 100, 0, MAX_TIMEOUT_MS)
    held = poll_repeatedly(lambda: _poll(task_type, poller, count), timeout_ms / 1000)
    return Answer(200, f"[{','.join(held)}]")


def _type_of(call: Call) -> str:
    [task_type] = call.parameters
    call.caller.require_type(task_type)
    return task_type


def _poll(task_type: str, poller: Poller, count: int) -> list[str]:
    held = bootstrap.polling.tasks().poll(task_type, poller, count)
    return _delivered(held, poller.worker_id)


def _delivered(held: list[HeldTask], worker_id: str) -> list[str]:
    return deliver(held, worker_id, lambda task: conductor_task(task, bootstrap.world.now()))


def _one(tasks: list[str]) -> Answer:
    return Answer(200, tasks[0]) if tasks else NOTHING


def update(call: Call) -> Answer:
    """Record a worker's report on a task."""
    report = _report_in(call)
    _record(report, call)
    return text_answer(report.attempt_id)


def update_and_poll(call: Call) -> Answer:
    """Record a worker's report on a task, and claim the next of its type for it, or answer 204.

    An unknown task is a 400 and not a 404: upon a 404 Conductor's Python SDK concludes that the
    route does not exist, and from then on makes two calls instead of one.
    """
    report = _report_in(call)
    try:
        _record(report, call)
    except NotFound as error:
        raise fault_at("taskId", error.detail) from error
    attempt = bootstrap.stores.jobs().get(*parse_attempt_id(report.attempt_id))
    assert attempt is not None  # It was reported on.
    own = attempt.worker_id if call.caller.is_worker else None
    worker_id = report.worker_id or own or ANONYMOUS
    return _one(_poll(attempt.type, Poller(worker_id, attempt.domain), 1))


def _report_in(call: Call) -> Report:
    report = from_task_result(*call.object_and_faults(), bootstrap.world.now())
    if report.worker_id is None:
        return report
    return replace(report, worker_id=call.caller.name_of(report.worker_id))


def _record(report: Report, call: Call) -> None:
    count_reports([bootstrap.polling.tasks().report(report, call.caller)])


def update_by_name(call: Call) -> Answer:
    """Record a report on the latest task of a name.

    Conductor's clients send the name of their own machine as the worker's, so it means nothing: a
    worker reports as itself on what it holds, others on any task.
    """
    workflow_id, job_name, status = call.parameters
    report = Report(
        attempt_id="",
        status=check("status", status, status_of),
        output=call.object(),
    )
    attempt_id = bootstrap.polling.tasks().report_by_name(
        workflow_id, job_name, report, call.caller
    )
    count_reports([Reported.RECORDED])
    return text_answer(attempt_id)


def get(call: Call) -> Answer:
    """Return a task."""
    [task_id] = call.parameters
    held = bootstrap.polling.tasks().get(task_id, call.caller)
    return json_answer(conductor_task(held, bootstrap.world.now()))


def add_log(call: Call) -> Answer:
    """Add a line to a task's log."""
    [task_id] = call.parameters
    text = _log_text(call)
    if text:
        line = LogLine(bootstrap.world.now(), text)
        bootstrap.polling.tasks().add_logs(task_id, [line], call.caller)
    return DONE


def _log_text(call: Call) -> str:
    """Return the line as the client meant it.

    Conductor's SDKs send JSON text with or without its quotes, other clients plain text.
    """
    if "json" not in call.headers.get("content-type", ""):
        return call.body
    text = call.body if call.body.startswith('"') else f'"{call.body}"'
    try:
        found = json.loads(text, strict=False)
    except ValueError:
        return call.body
    return found if isinstance(found, str) else call.body


def get_logs(call: Call) -> Answer:
    """Return a task's log."""
    [task_id] = call.parameters
    lines = bootstrap.polling.tasks().logs(task_id, call.caller)
    return json_answer([log_view(line.message, task_id, epoch_ms(line.at)) for line in lines])


def queue_size(call: Call) -> Answer:
    """Return how many tasks of a type are queued."""
    task_type = check("taskType", call.text("taskType"), fields.name)
    call.caller.require_type(task_type)
    domain = call.text("domain", fields.optional_name)
    queue = queue_name(task_type, domain)
    return json_answer(bootstrap.polling.tasks().queue_sizes([queue])[queue])


def queue_sizes(call: Call) -> Answer:
    """Return how many tasks of each of some types are queued."""
    given = call.query.get("taskType", [])
    if len(given) > MAX_QUEUES:
        raise fault_at("taskType", f"has {len(given):,} entries; {MAX_QUEUES:,} are the most")
    queues = [check("taskType", value, fields.queue) for value in given]
    for queue in queues:
        call.caller.require_type(queue.partition(KEY_SEPARATOR)[0])
    return json_answer(bootstrap.polling.tasks().queue_sizes(queues))


def all_queues(call: Call) -> Answer:
    """Return how many tasks each queue has; of a worker's types, if its token names some."""
    return json_answer(bootstrap.polling.tasks().queue_sizes(call.caller.job_types or None))


def poll_data(call: Call) -> Answer:
    """Return which workers have polled for a type, and when they last did."""
    task_type = check("taskType", call.text("taskType"), fields.name)
    return json_answer(_poll_data(task_type, call.caller))


def all_poll_data(call: Call) -> Answer:
    """Return which workers have polled for which types, and when they last did."""
    return json_answer(_poll_data(None, call.caller))


def _poll_data(task_type: str | None, caller: Caller) -> list[JsonObject]:
    """Return the polls; a worker is shown its own."""
    # Few ask for it: a process that serves polls does without.
    from shiftwork_core.services.workers.everyone import every_worker

    found = []
    for worker in every_worker(bootstrap.stores.workers()):
        for queue, last in worker.polls.items():
            name, _, domain = queue.partition(KEY_SEPARATOR)
            if task_type in (None, name) and caller.may_see(worker.hostname, name):
                found.append(
                    {
                        "queueName": name,
                        "domain": domain or None,
                        "workerId": worker.worker_id,
                        "lastPollTime": epoch_ms(last.at),
                    }
                )
    return found
