"""Which workers a sweep checks, when it declares them lost, and what becomes of their builds."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.workers.workers import Worker, WorkerReport
from shiftwork_core.ports.stores import Write
from tests.world.world import RULES, World

INTERVAL_S = RULES.offline_after.total_seconds()


@pytest.fixture
def attempt(world: World) -> Attempt:
    world.job_type("render", target="worker", retry={"max_attempts": 3, "delay_s": 60})
    world.request_type("film", [{"name": "frame", "type": "render"}])
    request_id = world.submit("film")
    world.run()
    [attempt] = world.attempts(request_id)
    return attempt


def hold(world: World, attempt: Attempt, lease_s: float = 3600) -> None:
    """Let host-1 hold the attempt, and its record say so."""
    now = world.clock()
    lease_until = now + timedelta(seconds=lease_s)
    world.jobs.claim(
        attempt.request_id,
        attempt.key,
        claim_id="c",
        worker_id="host-1",
        now=now,
        lease_until=lease_until,
    )
    world.workers.changed("host-1", [attempt.attempt_id], [], now)


def error_of(world: World, attempt: Attempt) -> str | None:
    row = world.jobs.get(attempt.request_id, attempt.key)
    assert row is not None
    return None if row.error is None else row.error.type


def test_a_worker_that_is_unknown_or_was_declared_lost_is_not_checked(world: World) -> None:
    assert not world.reaper.check("nobody")
    world.workers.register("host-1", "", [], 1, generation="g1")
    world.clock.advance(INTERVAL_S + 1)
    assert world.reaper.check("host-1")
    lost = world.workers.get("host-1")
    assert not world.reaper.check("host-1")
    assert world.workers.get("host-1") == lost


def test_a_worker_is_checked_from_its_time_on_and_not_before(world: World) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    first = world.workers.get("host-1")
    world.clock.advance(30)
    world.workers.report("host-1", WorkerReport(), by_itself=True)
    assert not world.reaper.check("host-1")
    assert world.workers.get("host-1").watch_at == first.watch_at
    world.clock.advance(INTERVAL_S - 30)
    assert not world.reaper.check("host-1")
    watch_at = world.workers.get("host-1").watch_at
    assert watch_at == world.clock() + timedelta(seconds=30)


def test_a_worker_that_is_silent_for_just_the_interval_is_not_lost(world: World) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    world.clock.advance(INTERVAL_S)
    assert not world.reaper.check("host-1")
    world.clock.advance(0.001)
    assert world.reaper.check("host-1")


def test_a_worker_that_only_polls_is_lost_with_its_last_lease(
    world: World, attempt: Attempt
) -> None:
    world.workers.polling("host-1", {"render": 1}, world.clock())
    hold(world, attempt, lease_s=INTERVAL_S + 1)
    world.clock.advance(INTERVAL_S + 1)
    assert world.reaper.check("host-1")
    assert error_of(world, attempt) == "LeaseExpired"


def test_a_build_that_has_ended_is_taken_out_of_the_record_of_a_worker_that_lives(
    world: World, attempt: Attempt
) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    hold(world, attempt, lease_s=1)
    world.clock.advance(INTERVAL_S)
    row = world.jobs.get(attempt.request_id, attempt.key)
    assert row is not None
    world.jobs.complete(row, world.records.payloads.pack(row.request_id, {}), world.clock())
    world.reaper.check("host-1")
    assert world.workers.get("host-1").running_build_ids == ()


def test_a_build_that_a_worker_without_a_name_holds_by_now_is_left_to_it(
    world: World, attempt: Attempt
) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    hold(world, attempt)
    row = world.jobs.get(attempt.request_id, attempt.key)
    assert row is not None
    world.tables.put_attempt(replace(row, worker_id=None, claim_id="other", fence=2))
    world.clock.advance(INTERVAL_S + 1)
    assert world.reaper.check("host-1")
    assert error_of(world, attempt) is None


@pytest.mark.parametrize("has_builds", [True, False])
def test_what_is_requeued_of_a_lost_worker_is_logged(
    world: World, attempt: Attempt, caplog: pytest.LogCaptureFixture, has_builds: bool
) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    if has_builds:
        hold(world, attempt)
    world.clock.advance(INTERVAL_S + 1)
    with caplog.at_level(logging.WARNING, "shiftwork.workers"):
        assert world.reaper.check("host-1")
    assert ("requeued a lost worker's builds" in caplog.messages) is has_builds
    assert error_of(world, attempt) == ("WorkerLost" if has_builds else None)


def test_a_worker_whose_record_is_deleted_meanwhile_is_not_declared_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    world.clock.advance(INTERVAL_S + 1)

    def deleted(worker: Worker) -> Write[Worker | None]:
        return Write(won=False, row=None)

    monkeypatch.setattr(world.worker_store, "save", deleted)
    assert not world.reaper.check("host-1")
