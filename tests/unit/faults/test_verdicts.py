"""Each rule about requests after faults finds its flaw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults import workload
from tests.faults.workload import Verdict

Rows = list[dict[str, Any]]


def attempt(job: str, step: int, number: int, attempt: int = 1, **changes: Any) -> dict[str, Any]:
    attempt_id = f"r1.{step:04}.{number:06}.{attempt:04}"
    return {
        "attempt_id": attempt_id,
        "job": job,
        "step": step,
        "attempt": attempt,
        "fence": attempt,
        "status": "completed",
        "output": {job: attempt_id},
        "error": None,
        "created_at": f"2026-01-01T00:00:0{step}Z",
        "started_at": f"2026-01-01T00:00:0{step}Z",
        "completed_at": f"2026-01-01T00:00:0{step}.5Z",
    } | changes


def small() -> tuple[dict[str, Any], Rows, Counter[str]]:
    """Return a small request without a flaw, and what its callbacks did."""
    attempts = [
        attempt("wide0", 1, 0, status="retry", output=None),
        attempt("wide0", 1, 0, 2),
        attempt("wide1", 1, 1),
        attempt("last", 2, 0),
    ]
    extras = {a["job"]: a["attempt_id"] for a in attempts if a["status"] == "completed"}
    request = {
        "request_id": "r1",
        "type": workload.SMALL,
        "status": "Completed",
        "params": workload.params(2, 1),
        "extras": extras,
        "error": None,
    }
    return request, attempts, Counter(a["attempt_id"] for a in attempts)


def judged(request: Any, attempts: Any, ran: Counter[str]) -> Verdict:
    verdict = Verdict()
    workload._judge_one(verdict, request, attempts, ran)
    return verdict


def test_a_request_without_a_flaw_has_no_fault() -> None:
    verdict = judged(*small())
    assert verdict.faults == []
    assert (verdict.ended, verdict.jobs, verdict.doubled) == (1, 3, 0)


def complete_twice(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    attempts[0]["status"] = "completed"


def run_twice(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    ran[attempts[1]["attempt_id"]] += 1


def never_run(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    del ran[attempts[1]["attempt_id"]]


def claim_under_an_old_fence(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    attempts[1]["fence"] = 1


def leave_open(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    attempts.append(attempt("wide1", 1, 1, 2, status="new", started_at=None))


def lose_a_job(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    del attempts[2], request["extras"]["wide1"]


def lose_a_result(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    del request["extras"]["wide1"]


def keep_the_result_of_another_attempt(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    request["extras"]["wide0"] = attempts[0]["attempt_id"]


def begin_early(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    attempts[3]["created_at"] = "2026-01-01T00:00:01.2Z"


def fail_a_job(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    attempts[0]["status"] = "failure"


def fail(request: Any, attempts: Rows, ran: Counter[str]) -> None:
    request["status"] = "Failed"


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (complete_twice, "several outcomes"),
        (run_twice, "ran 2 times"),
        (never_run, "never ran"),
        (claim_under_an_old_fence, "has fence 1"),
        (leave_open, "left as new"),
        (lose_a_job, "completed by step"),
        (lose_a_result, "extras"),
        (keep_the_result_of_another_attempt, "extras"),
        (begin_early, "began before"),
        (fail_a_job, "is failure"),
        (fail, "not Completed"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_flaw_is_found(harm: Callable[..., None], fault: str) -> None:
    request, attempts, ran = small()
    harm(request, attempts, ran)
    assert any(fault in found for found in judged(request, attempts, ran).faults)


def test_a_request_that_another_job_failed_is_found() -> None:
    request, attempts, ran = small()
    request |= {"type": workload.FAILS, "status": "Failed"}
    error = {"type": "Failure", "message": "this can never work"}
    attempts[3] = attempt("bad", 2, 9, status="failure", output=None, error=error)
    ran[attempts[3]["attempt_id"]] += 1
    assert judged(request, attempts, ran).faults == []
    attempts[3]["error"] = {"type": "LeaseExpired", "message": "its lease ran out"}
    assert judged(request, attempts, ran).faults
    attempts[3]["error"] = error
    attempts.append(attempt("last", 3, 0))
    assert judged(request, attempts, ran).faults
