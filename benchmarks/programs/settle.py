"""Settle a step of many results in the process of AdvanceRequest; print its peak memory in MB.

DynamoDB's pages are made when they are asked for, of 1 MB as there, so that they are not measured.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shiftwork_core import bootstrap
from shiftwork_core.adapters.dynamodb import items, namespaces
from shiftwork_core.adapters.dynamodb.lots import JOBS_A_LOT
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.definitions import JobSpec, StepSpec
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.requests.step_state import classify_step
from shiftwork_core.services.requests.lasting import LastingWork
from shiftwork_core.services.requests.results import attempts_of, extras_after

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
PAGE_BYTES = 1024 * 1024
SPEC = StepSpec("wide", (JobSpec("job", "work", for_each="params.items"),))


def attempt(job: int, result_bytes: int) -> Attempt:
    """Return a completed attempt. All results have one key, so that the extras stay small."""
    return Attempt(
        "r",
        AttemptKey(1, job, 1),
        f"job[{job}]",
        "work",
        1,
        NOW,
        status=AttemptStatus.COMPLETED,
        output=Payload(json.dumps({"x": "y" * (result_bytes - 9)})),
    )


class Client:
    """Answers the queries for the lots of a step."""

    def __init__(self, jobs: int, result_bytes: int) -> None:
        self._jobs = jobs
        self._result_bytes = result_bytes

    def query(self, **asked: Any) -> dict[str, Any]:
        """Return a page of a lot's rows."""
        lot = asked["ExpressionAttributeValues"][":lot"]["S"]
        first = int(lot.rpartition("#")[2]) * JOBS_A_LOT
        start = asked.get("ExclusiveStartKey", {namespaces.PARTITION: first})[namespaces.PARTITION]
        end = min(first + JOBS_A_LOT, self._jobs, start + PAGE_BYTES // (self._result_bytes + 500))
        rows = [
            namespaces.to_stored(
                namespaces.JOBS, items.attempt_item(attempt(job, self._result_bytes))
            )
            for job in range(start, end)
        ]
        is_last = end == min(first + JOBS_A_LOT, self._jobs)
        return {
            "Items": rows,
            **({} if is_last else {"LastEvaluatedKey": {namespaces.PARTITION: end}}),
        }


def main() -> None:
    """Settle, after all that the function imports."""
    jobs, result_bytes = map(int, sys.argv[1:])
    bootstrap.world.client = lambda _: Client(jobs, result_bytes)  # type: ignore[assignment]
    records = bootstrap.requests.records()
    bootstrap.requests.advancer()
    request = Request("r", "wide", 1, {"work": 1}, Payload("{}"), Payload("{}"), NOW)
    attempts = attempts_of(records, "r", 1)
    work = LastingWork(records.requests, bootstrap.world.runtime(), request)
    state = classify_step(attempts, 0, NOW, timedelta(minutes=2))
    extras = extras_after(records, request, SPEC, attempts, work)
    assert len(state.completed) == jobs and len(extras["x"]) == result_bytes - 9
    print(peak_mb())


def peak_mb() -> float:
    """Return this program's peak. What getrusage knows includes the process that started it."""
    [line] = [
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    ]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
