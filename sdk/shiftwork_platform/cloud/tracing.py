"""Keep the trace of a run: one short line for each event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request, RequestError, Step
from shiftwork_core.domain.workspaces.records import LifecycleJob, Sighting, Workspace
from shiftwork_core.ports.stores import Created, DueRequest, Write
from shiftwork_core.ports.workspaces import LifecycleWrite
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.hub import Hub

_LONGEST_TEXT = 60


@dataclass(slots=True)
class Trace:
    """The lines of a run's events; empty unless `is_kept`."""

    is_kept: bool
    lines: list[str] = field(default_factory=list)

    def add(
        self,
        hub: Hub,
        what: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        answer: object,
        fault: Fault | None,
    ) -> None:
        """Add an event of the acting actor."""
        given = [brief(a) for a in args]
        given += [f"{k}={brief(v)}" for k, v in kwargs.items() if v is not None]
        line = f"{hub.now:10.3f} {hub.actor.name:<18} {what}"
        if given:
            line += f"({', '.join(given)})"
        if answer is not None:
            line += f" -> {brief(answer)}"
        if fault is not None:
            line += f"   ** {fault}"
        self.lines.append(line)


def brief(value: object) -> str:  # long: a case for each kind
    """Return a value as a trace shows it."""
    match value:
        case Request():
            ended = f" due {brief(value.due_at)}"
            return (
                f"{value.request_id} {value.status} step {value.current_step}"
                f" x{value.execution} g{value.generation}{ended}"
            )
        case Step():
            waiter = f" {value.token} at {value.target}" if value.token else ""
            return f"step {value.index} {value.status} arrivals {value.arrivals}{waiter}"
        case Attempt():
            return f"{value.attempt_id} {value.status} f{value.fence}"
        case AttemptKey():
            return f"{value.step}.{value.job}.{value.attempt}"
        case Write():
            return ("won " if value.won else "lost ") + brief(value.row)
        case Workspace():
            named = {op.value: pending.job_id for op, pending in value.pending.items()}
            return (
                f"{value.workspace_id} {value.state} r{value.revision} {brief(named)}"
                f" due {brief(value.due_at)}"
            )
        case LifecycleJob():
            claim = f" by {value.claim_id}" if value.claim_id else ""
            return (
                f"{value.operation} {value.id} {value.state} r{value.revision} try {value.attempt}"
                f"{claim} due {brief(value.due_at)}"
            )
        case LifecycleWrite():
            rows = f"{brief(value.job)}, {brief(value.workspace)}"
            return ("won " if value.won else "lost ") + rows
        case Sighting():
            return value.state.value
        case Created():
            return ("new " if value.is_new else "known ") + brief(value.request)
        case DueRequest():
            return f"{value.request_id} x{value.execution} due {brief(value.due_at)}"
        case Payload():
            return _cut(value.text or value.ref or "")
        case JobError() | RequestError():
            return value.type
        case datetime():
            return value.strftime("%H:%M:%S.%f")[:-3]
        case Exception():
            return f"{type(value).__name__}: {_cut(str(value))}"
        case list() | tuple():
            return (
                "[" + ", ".join(brief(v) for v in value[:8]) + (", ..." if value[8:] else "") + "]"
            )
        case dict():
            return "{" + ", ".join(f"{k}: {brief(v)}" for k, v in value.items() if v) + "}"
        case str() | int() | float() | bool() | None:
            return _cut(str(value))
    return type(value).__name__


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "..."
