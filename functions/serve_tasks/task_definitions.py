"""Translate Conductor's TaskDef into a job type's body, and a job type into its TaskDef.

Fields that mean nothing to Shiftwork are kept in the job type and given back unchanged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import fields
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.backoff import Backoff
from shiftwork_core.domain.requests.definitions import Definition, JobType
from shiftwork_core.domain.times import from_iso
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.json_input import summarise

#: The bounds of functions/api/v1/definitions/inputs.py, which a test holds these to.
MAX_RETRIES = 999
MAX_TIME_S = 7 * 24 * 3600
MAX_SCALE = 1000
MAX_CONCURRENCY = 1000
MAX_RATE = 1_000_000
MAX_RATE_WINDOW_S = 24 * 3600
MAX_DESCRIPTION_LENGTH = 2000

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,127}")
_LOGICS = {
    "FIXED": Backoff.FIXED,
    "LINEAR_BACKOFF": Backoff.LINEAR,
    "EXPONENTIAL_BACKOFF": Backoff.EXPONENTIAL,
}
_POLICIES = ("RETRY", "TIME_OUT_WF", "ALERT_ONLY")
#: Set by the server, whatever a client sends back.
_OURS = ("createTime", "updateTime")

#: Where the defaults of Conductor's TaskDef are not those of a job type.
_NEW: JsonObject = {
    "target": "worker",
    "retry": {
        "max_attempts": 4,
        "backoff": "fixed",
        "delay_s": 60,
        "max_delay_s": MAX_TIME_S,
        "jitter": "none",
    },
    "timeout_s": 0,
    "worker": {"response_timeout_s": 3600, "timeout_policy": "TIME_OUT_WF"},
}


@dataclass(frozen=True, slots=True)
class _Field:
    """A field that Shiftwork knows: its place in a job type's body, and the reader of its value."""

    place: tuple[str, ...]
    read: Callable[[Any], Any]


def _number(low: float, high: float, *, is_whole: bool = False) -> Callable[[Any], Any]:
    def read(given: Any) -> float:
        value = fields.number_in(given)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise ValueError("must be a number")
        if is_whole and value != int(value):
            raise ValueError("must be a whole number")
        if not low <= value <= high:
            raise ValueError(f"must be {low:,} to {high:,}")
        return int(value) if value == int(value) else value

    return read


def _one_of(words: dict[str, str]) -> Callable[[Any], Any]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(words[value])

    return read


def _description(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_DESCRIPTION_LENGTH:
        raise ValueError(f"must be a text of at most {MAX_DESCRIPTION_LENGTH:,} characters")
    return value


def _attempts(value: Any) -> int:
    return int(_number(0, MAX_RETRIES, is_whole=True)(value)) + 1


def _cap(value: Any) -> Any:
    """Conductor's 0 is no cap; ours is as high as a delay can be."""
    return _number(0, MAX_TIME_S)(value) or MAX_TIME_S


_FIELDS = {
    "description": _Field(("description",), _description),
    "retryCount": _Field(("retry", "max_attempts"), _attempts),
    "retryLogic": _Field(("retry", "backoff"), _one_of({k: v.value for k, v in _LOGICS.items()})),
    "retryDelaySeconds": _Field(("retry", "delay_s"), _number(0, MAX_TIME_S)),
    "maxRetryDelaySeconds": _Field(("retry", "max_delay_s"), _cap),
    "backoffScaleFactor": _Field(("retry", "scale"), _number(1, MAX_SCALE)),
    "timeoutSeconds": _Field(("timeout_s",), _number(0, MAX_TIME_S)),
    "timeoutPolicy": _Field(("worker", "timeout_policy"), _one_of({p: p for p in _POLICIES})),
    "responseTimeoutSeconds": _Field(("worker", "response_timeout_s"), _number(1, MAX_TIME_S)),
    "pollTimeoutSeconds": _Field(("worker", "poll_timeout_s"), _number(0, MAX_TIME_S)),
    "concurrentExecLimit": _Field(
        ("worker", "concurrency_limit"), _number(0, MAX_CONCURRENCY, is_whole=True)
    ),
    "rateLimitPerFrequency": _Field(
        ("worker", "rate_limit", "count"), _number(0, MAX_RATE, is_whole=True)
    ),
    "rateLimitFrequencyInSeconds": _Field(
        ("worker", "rate_limit", "per_s"), _number(1, MAX_RATE_WINDOW_S, is_whole=True)
    ),
}


def name_in(task_def: Json, path: str = "") -> str:
    """Return the name of a TaskDef.

    Raises
    ------
    Invalid
        If it is not an object, or its name cannot be a job type's.
    """
    if not isinstance(task_def, dict):
        raise Invalid("a task definition is a JSON object", [FaultAt(path, "must be an object")])
    name = task_def.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        fault = FaultAt(
            f"{path}.name".lstrip("."),
            "must begin with a letter and have at most 128 letters, digits, '.', '_' and '-'",
        )
        raise Invalid(summarise([fault]), [fault])
    return name


def merged(task_def: JsonObject, body: JsonObject | None, path: str = "") -> JsonObject:
    """Return a job type's body with only those fields changed that `task_def` names.

    `body` is the latest one; None for a new job type, which gets Conductor's defaults.

    Raises
    ------
    Invalid
        If values are not allowed; the error names every one.
    """
    changed = _copy(_NEW if body is None else body)
    carried = dict((changed.get("worker") or {}).get("task_def") or {})
    faults = []
    for name, value in task_def.items():
        if name in _OURS or name == "name" or value is None:
            continue
        known = _FIELDS.get(name)
        if known is None:
            carried[name] = value
            continue
        try:
            _place(changed, known.place, known.read(value))
        except ValueError as error:
            faults.append(FaultAt(f"{path}.{name}".lstrip("."), str(error)))
    if faults:
        raise Invalid(summarise(faults), faults)
    if carried:
        _place(changed, ("worker", "task_def"), carried)
    return changed


def task_def_of(definition: Definition) -> JsonObject:
    """Return a job type's definition as a TaskDef."""
    job_type = JobType.from_body(definition.name, definition.version, definition.body)
    retry, worker = job_type.retry, job_type.worker
    logics = {backoff: name for name, backoff in _LOGICS.items()}
    changed_at = epoch_ms(from_iso(definition.created_at))
    return dict(worker.task_def) | {
        "name": job_type.name,
        "description": definition.body.get("description") or "",
        "retryCount": retry.max_attempts - 1,
        "retryLogic": logics[retry.backoff],
        "retryDelaySeconds": _plain(retry.delay_s),
        "maxRetryDelaySeconds": 0 if retry.max_delay_s >= MAX_TIME_S else _plain(retry.max_delay_s),
        "backoffScaleFactor": _plain(retry.scale),
        "timeoutSeconds": _plain(job_type.timeout_s),
        "timeoutPolicy": worker.timeout_policy.value,
        "responseTimeoutSeconds": _plain(worker.response_timeout_s),
        "pollTimeoutSeconds": _plain(worker.poll_timeout_s),
        "concurrentExecLimit": worker.concurrency_limit,
        "rateLimitPerFrequency": worker.rate_limit.count,
        "rateLimitFrequencyInSeconds": _plain(worker.rate_limit.per_s),
        "createTime": changed_at,
        "updateTime": changed_at,
    }


def epoch_ms(moment: datetime | None) -> int:
    """Return a time in epoch milliseconds, 0 for none, as Conductor does."""
    return 0 if moment is None else round(moment.timestamp() * 1000)


def _plain(seconds: float) -> float:
    """Return a whole number as an integer: typed clients expect one."""
    return int(seconds) if seconds == int(seconds) else seconds


def _copy(body: JsonObject) -> JsonObject:
    """Return a copy of a body that is safe to place fields in."""
    return {k: _copy(v) if isinstance(v, dict) else v for k, v in body.items()}


def _place(body: JsonObject, place: tuple[str, ...], value: Any) -> None:
    *parents, name = place
    for parent in parents:
        if not isinstance(body.get(parent), dict):  # Absent, or null.
            body[parent] = {}
        body = body[parent]
    body[name] = value
