"""Idle workers beside people's calls, in an account whose quota is as many as the workers."""

from __future__ import annotations

import pytest

from benchmarks.quotas.isolation import Crowd, Isolation
from benchmarks.quotas.limits import quotas

WORKERS, WIDTH = 40, 200


@pytest.fixture(autouse=True)
def _quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(quotas()["lambda"], "concurrency", WORKERS)


def test_idle_workers_that_wait_at_the_server_leave_no_function_for_anybody_else() -> None:
    run = Isolation(Crowd(WORKERS, WIDTH, is_waiting=True, lasts_s=10)).play()
    assert run.held == WORKERS
    assert all(refused > 0 for refused in run.refused.values())


def test_idle_workers_of_the_sdk_leave_submit_and_heartbeat_untouched_beside_a_wide_step() -> None:
    run = Isolation(Crowd(WORKERS, WIDTH, is_waiting=False, lasts_s=10)).play()
    assert run.held < WORKERS / 3
    assert run.refused == {"submit": 0, "heartbeat": 0}
    assert all(len(took) == 10 for took in run.took_s.values())
    assert run.model.functions.invocations["run_jobs"] >= WIDTH / 100
    assert run.model.functions.throttled.total() == 0
