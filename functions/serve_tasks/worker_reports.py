"""Read workers' reports on tasks: Conductor's TaskResult, and the results of an exchange."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import fields
from fields import check
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.records import LogLine
from shiftwork_core.domain.texts import written_out
from shiftwork_core.domain.times import from_iso
from shiftwork_core.errors import FaultAt, NotOffered
from shiftwork_core.json_input import require_none
from shiftwork_core.services.polling.reports import Report, Reported, ReportStatus
from shiftwork_core.telemetry import count_outcomes

#: The longest that a worker may put a task back for, as long as the longest back-off.
MAX_CALLBACK_S = 7 * 24 * 3600
#: Of more log lines the last are kept.
MAX_LOGS = 1000
#: The attempt's row keeps the reason, and the request's row that of the failure.
MAX_REASON_LENGTH = 1000
#: Digits in text are a time from so many on: fewer are a date of ISO 8601.
_MIN_EPOCH_DIGITS = 9
#: Some of Conductor's SDKs give the time of a log line in seconds: a number below this is one, for
#: as milliseconds it would be a time before May 1970.
_MIN_EPOCH_MS = 10**10

#: A client's clock may be ahead, but not at the end of the calendar, where no piece of a line fits
#: behind another.
_MAX_AHEAD = timedelta(days=366)

#: With these a task has ended.
_ENDINGS = [status.value for status in ReportStatus if status is not ReportStatus.IN_PROGRESS]
_FIRST_PART = re.compile(r"\w+")

_METRICS = {
    Reported.RECORDED: Metric.TASKS_RECORDED,
    Reported.LATE: Metric.TASKS_LATE,
    Reported.RENEWED: Metric.TASKS_RENEWED,
    Reported.PUT_BACK: Metric.TASKS_PUT_BACK,
    Reported.STOP: Metric.TASKS_STOPPED,
    Reported.UNKNOWN: Metric.TASKS_UNKNOWN,
}


def count_reports(reported: list[Reported]) -> None:
    """Count reports by how they were dealt with."""
    count_outcomes(Counter(reported), _METRICS)


def status_of(value: Any) -> ReportStatus:
    """Read the status of a report."""
    try:
        return ReportStatus(value)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(ReportStatus)}") from None


def _reason(value: Any) -> str:
    text = written_out(fields.long_text(value))
    # The end of an error's text says more than its middle.
    half = MAX_REASON_LENGTH // 2
    return text if len(text) <= MAX_REASON_LENGTH else f"{text[:half]} ... {text[-half:]}"


def _whole(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be a whole number")
    return value


def from_task_result(body: JsonObject, faults: list[FaultAt], now: datetime) -> Report:
    """Read Conductor's TaskResult. Fields that mean nothing here are ignored.

    `faults` say where the body is not JSON as we take it. Most clients drop a report that is
    refused, and its task would be done again once its lease has run out. So one in the output of a
    task that has ended is left to the outcome: it fails the task, as that of a callback does. Those
    of texts are mended.

    Raises
    ------
    Invalid
        If a value is not allowed.
    NotOffered
        If its output lies in Conductor's external storage.
    """
    require_none([fault for fault in faults if not _is_taken(fault, body)])
    if body.get("externalOutputPayloadStoragePath"):
        raise NotOffered(
            "Shiftwork has no external payload storage of Conductor's",
            "send the output in outputData; large ones are stored by Shiftwork",
        )
    return Report(
        attempt_id=check("taskId", body.get("taskId"), fields.name),
        status=check("status", body.get("status"), status_of),
        output=check("outputData", body.get("outputData"), fields.map_of_json),
        reason=check("reasonForIncompletion", body.get("reasonForIncompletion"), _reason),
        worker_id=check("workerId", body.get("workerId"), fields.short_text),
        callback_after_s=check(
            "callbackAfterSeconds",
            fields.number_in(body.get("callbackAfterSeconds")),
            fields.number_from(0, MAX_CALLBACK_S),
        ),
        extend_lease=check("extendLease", body.get("extendLease"), fields.boolean),
        logs=_logs(body.get("logs"), "logs", "log", "createdTime", now),
    )


def _is_taken(fault: FaultAt, body: JsonObject) -> bool:
    part = _FIRST_PART.match(fault.path)
    match part and part[0]:
        case "outputData":
            return body.get("status") in _ENDINGS
        case "reasonForIncompletion" | "logs":
            return True
    return False


def from_exchange(body: Json, path: str, worker_id: str, now: datetime) -> Report:
    """Read one of an exchange's results; `path` is its place in the body.

    Raises
    ------
    Invalid
        If a value is not allowed.
    """
    result = check(path, body, fields.map_of_json)
    return Report(
        attempt_id=check(f"{path}.task_id", result.get("task_id"), fields.name),
        status=check(f"{path}.status", result.get("status"), status_of),
        output=check(f"{path}.output", result.get("output"), fields.map_of_json),
        reason=check(f"{path}.reason", result.get("reason"), _reason),
        worker_id=worker_id,
        callback_after_s=check(
            f"{path}.callback_after_s",
            result.get("callback_after_s"),
            fields.number_from(0, MAX_CALLBACK_S),
        ),
        extend_lease=check(f"{path}.extend_lease", result.get("extend_lease"), fields.boolean),
        logs=_logs(result.get("logs"), f"{path}.logs", "message", "at", now),
        fence=check(f"{path}.fence", result.get("fence"), _whole),
    )


def _logs(value: Json, path: str, message: str, time: str, now: datetime) -> list[LogLine]:
    lines = check(path, value, fields.list_of_json)
    found = []
    for index, line in enumerate(lines[-MAX_LOGS:], max(0, len(lines) - MAX_LOGS)):
        entry = check(f"{path}[{index}]", line, fields.map_of_json)
        text = check(f"{path}[{index}].{message}", entry.get(message), fields.long_text)
        if text:
            found.append(LogLine(_moment(entry.get(time), now), text))
    return found


def _moment(value: Json, now: datetime) -> datetime:
    """Return when a line was logged: the client's time if it can be that, else `now`."""
    moment = _time_in(value)
    return now if moment is None or moment > now + _MAX_AHEAD else moment


def _time_in(value: Json) -> datetime | None:
    if isinstance(value, str) and len(value) >= _MIN_EPOCH_DIGITS:
        value = fields.number_in(value)
    try:
        if isinstance(value, str):
            return from_iso(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            seconds = value / 1000 if value >= _MIN_EPOCH_MS else value
            return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
