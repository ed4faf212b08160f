"""Callbacks of the requests under faults; `tests.faults.stack` adds them to RunJobs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from shiftwork_core.callbacks import Failure, Job, Retry, callback


@callback("fault.work")
def work(job: Job) -> dict[str, Any]:
    """Ask for as many retries as the item says, then return the attempt's number."""
    _note_effect(job)
    item: Any = job.item or {}
    if job.attempt <= item.get("failures", 0):
        raise Retry("not yet", 0)
    return {f"{job.name}{item.get('number', '')}": job.attempt_id}


@callback("fault.fail")
def fail(job: Job) -> dict[str, Any]:
    """Fail without a retry."""
    _note_effect(job)
    raise Failure("this can never work")


def _note_effect(job: Job) -> None:
    """Act on the world, as callbacks do: write a line that says which attempt and fence ran."""
    effect = {"attempt_id": job.attempt_id, "job": job.job_key, "fence": job.fence}
    with (Path(os.environ["SHIFTWORK_FAULTS"]) / "effects.jsonl").open("ab", buffering=0) as file:
        file.write(json.dumps(effect).encode() + b"\n")
