"""The worker record: its status follows the rule after any events in any order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shiftwork_core.domain.workers import drains
from shiftwork_core.domain.workers import workers as domain
from shiftwork_core.domain.workers.workers import (
    Liveness,
    Poll,
    Worker,
    WorkerKind,
    WorkerReport,
    WorkerStatus,
    status_of,
    worker_key,
)

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULES = Liveness()


def a_worker(limit: int = 2, **values: Any) -> Worker:
    row = domain.registered(None, "host-1", "", ["mail.send"], limit, NOW, RULES, generation="g1")
    return replace(row, **values)


def a_conductor_worker() -> Worker:
    return domain.derived("host-1", NOW, RULES)


# -- the status ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("running", "limit", "error", "status"),
    [
        (0, 1, None, "idle"),
        (1, 1, None, "busy"),
        (1, 2, None, "available"),
        (2, 2, None, "busy"),
        (3, 2, None, "error"),
        (0, 1, "the GPU is gone", "error"),
        (1, 2, "the GPU is gone", "error"),
    ],
)
def test_the_status_follows_from_builds_limit_and_error(
    running: int, limit: int, error: str | None, status: str
) -> None:
    assert status_of(running, limit, error) == status


IDS = st.lists(st.sampled_from([f"r1.1.{n}.1" for n in range(6)]), max_size=4)


class AnyOrder(RuleBasedStateMachine):
    """A record after random events, next to a model of what is true."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.row = a_worker()
        self.running: set[str] = set()
        self.limit = 2
        self.error: str | None = None
        self.has_lapsed = False
        self.has_left = False

    def to(self, after: Worker) -> None:
        """Keep the record after an event; the same event again must change nothing."""
        before, self.row = self.row, after
        is_moved = (before.status, set(before.running_build_ids)) != (
            after.status,
            set(after.running_build_ids),
        )
        assert after.last_status_update_at == (
            self.now if is_moved else before.last_status_update_at
        )

    @rule(seconds=st.integers(1, 200))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(started=IDS, finished=IDS)
    def builds_change(self, started: list[str], finished: list[str]) -> None:
        before = set(self.running)
        self.running = (self.running | set(started)) - set(finished)
        self.to(domain.changed(self.row, started, finished, self.now, RULES))
        assert domain.changed(self.row, started, finished, self.now, RULES) is self.row
        if self.running - before:
            assert self.row.last_build_started_at == self.now
            self.has_lapsed = False
        if before - self.running:
            assert self.row.last_build_finished_at == self.now

    @rule(ids=IDS)
    def it_says_what_runs(self, ids: list[str]) -> None:
        self.running = set(ids)
        self.to(domain.reported(self.row, WorkerReport(running_build_ids=ids), self.now))

    @rule(limit=st.integers(1, 4))
    def its_limit_changes(self, limit: int) -> None:
        self.limit = limit
        self.to(domain.reported(self.row, WorkerReport(build_limit=limit), self.now))

    @rule()
    def it_reports_an_error(self) -> None:
        self.error = "broken"
        self.to(domain.reported(self.row, WorkerReport(error="broken"), self.now))

    @rule()
    def it_reports_that_it_is_well(self) -> None:
        self.error = None
        self.to(domain.reported(self.row, WorkerReport(error=""), self.now))

    @rule(ids=IDS)
    def leases_run_out(self, ids: list[str]) -> None:
        for attempt_id in ids:
            self.has_lapsed |= attempt_id in self.running
            self.running.discard(attempt_id)
            self.to(domain.lapsed(self.row, attempt_id, self.now))
            assert domain.lapsed(self.row, attempt_id, self.now + SECOND) is self.row

    @rule()
    def it_leaves(self) -> None:
        self.has_left = True
        self.to(domain.reported(self.row, WorkerReport(active=False), self.now))

    @rule()
    def it_checks_in(self) -> None:
        self.has_lapsed = False
        self.to(domain.checked_in(self.row, self.now, RULES))
        assert self.row.last_checked_in == self.row.last_seen_at == self.now

    @rule(queue=st.sampled_from("abc"), count=st.integers(1, 5))
    def it_polls(self, queue: str, count: int) -> None:
        self.has_lapsed = False
        self.to(domain.polled(self.row, {queue: count}, self.now, RULES))
        assert domain.polled(self.row, {queue: count}, self.now, RULES) is self.row

    @rule()
    def it_is_drained(self) -> None:
        self.to(drains.drained(self.row))

    @rule()
    def it_is_resumed(self) -> None:
        self.has_left = False
        self.to(drains.resumed(self.row))

    @rule(stop=st.sampled_from("xy"))
    def a_stop_drains_it(self, stop: str) -> None:
        self.to(drains.drained_for_stop(self.row, stop))
        assert not self.row.may_have_work

    @rule(stop=st.sampled_from("xy"))
    def a_stop_drains_it_no_more(self, stop: str) -> None:
        self.to(drains.resumed_after_stop(self.row, stop))

    @rule(held=IDS)
    def a_sweep_looks(self, held: list[str]) -> None:
        self.running &= set(held)
        self.to(domain.only_running(self.row, held, self.now))

    @rule()
    def it_is_buried(self) -> None:
        self.running = set()
        self.to(domain.declared_lost(self.row, self.now))
        assert self.row.watch_at is None

    @invariant()
    def the_rule_holds(self) -> None:
        assert set(self.row.running_build_ids) == self.running
        assert len(self.row.running_build_ids) == len(self.running)
        assert self.row.status is status_of(len(self.running), self.limit, self.error)
        assert self.row.status not in (WorkerStatus.OFFLINE, WorkerStatus.STOPPED)

    @invariant()
    def it_is_offline_when_nothing_was_heard_for_the_interval_or_a_lease(self) -> None:
        is_silent = self.now - self.row.last_seen_at > RULES.offline_after
        assert self.row.is_silent(self.now, RULES) == is_silent
        assert self.row.is_offline(self.now, RULES) == (is_silent or self.has_lapsed)

    @invariant()
    def the_dead_and_the_stopped_are_shown_as_what_they_are(self) -> None:
        shown = self.row.status
        if self.row.is_offline(self.now, RULES):
            shown = WorkerStatus.OFFLINE
        if self.has_left and not self.running and not self.has_lapsed:
            shown = WorkerStatus.STOPPED
        assert self.row.shown_status(self.now, RULES) is shown


test_the_rule_holds_in_any_order = AnyOrder.TestCase


# -- leases that have run out ---------------------------------------------------------------------


def test_a_worker_that_checks_in_is_offline_from_its_first_lapse_to_its_next_call() -> None:
    row = domain.changed(a_worker(), ["r1.1.0.1", "r1.1.1.1"], [], NOW, RULES)
    row = domain.lapsed(row, "r1.1.0.1", NOW + SECOND)
    assert row.running_build_ids == ("r1.1.1.1",)
    assert row.shown_status(NOW + SECOND, RULES) is WorkerStatus.OFFLINE
    row = domain.checked_in(row, NOW + 2 * SECOND, RULES)
    assert row.shown_status(NOW + 2 * SECOND, RULES) is WorkerStatus.AVAILABLE


def test_a_worker_that_only_polls_may_be_full_while_one_of_its_leases_lasts() -> None:
    row = domain.changed(a_conductor_worker(), ["r1.1.0.1", "r1.1.1.1"], [], NOW, RULES)
    row = domain.lapsed(row, "r1.1.0.1", NOW + SECOND)
    assert row.shown_status(NOW + SECOND, RULES) is not WorkerStatus.OFFLINE
    row = domain.lapsed(row, "r1.1.1.1", NOW + 2 * SECOND)
    assert row.shown_status(NOW + 2 * SECOND, RULES) is WorkerStatus.OFFLINE


def test_a_worker_that_died_while_it_was_leaving_is_offline_and_not_stopped() -> None:
    row = domain.changed(a_worker(), ["r1.1.0.1"], [], NOW, RULES)
    row = domain.reported(row, WorkerReport(active=False), NOW)
    assert row.shown_status(NOW, RULES) is not WorkerStatus.STOPPED
    assert domain.lapsed(row, "r1.1.0.1", NOW).shown_status(NOW, RULES) is WorkerStatus.OFFLINE
    gone = domain.changed(row, [], ["r1.1.0.1"], NOW, RULES)
    for later in (NOW, NOW + 2 * RULES.offline_after):
        assert gone.shown_status(later, RULES) is WorkerStatus.STOPPED


def test_a_call_from_before_a_lapse_may_have_no_reader() -> None:
    row = domain.changed(a_worker(), ["r1.1.0.1"], [], NOW, RULES)
    assert not row.has_lapsed_since(NOW)
    row = domain.lapsed(row, "r1.1.0.1", NOW + SECOND)
    assert row.has_lapsed_since(NOW)
    assert not row.has_lapsed_since(NOW + SECOND)


# -- signs of life -------------------------------------------------------------------------------


def test_a_worker_may_miss_one_check_in() -> None:
    assert RULES.offline_after > 2 * RULES.seen_every


@given(seconds=st.integers(0, 1000))
@example(seconds=30)
def test_a_poll_is_worth_a_write_twice_a_minute_at_the_most(seconds: int) -> None:
    row = domain.polled(a_conductor_worker(), {"mail.send": 1}, NOW, RULES)
    later = NOW + seconds * SECOND
    after = domain.polled(row, {"mail.send": 1}, later, RULES)
    assert (after is row) == (later - NOW < RULES.seen_every)
    assert after is row or after.last_seen_at == later


def test_a_worker_that_checks_in_costs_no_write_for_its_polls() -> None:
    row = domain.polled(a_worker(), {"mail.send": 1}, NOW, RULES)
    for seconds in range(1, 600):
        now = NOW + seconds * SECOND
        if seconds % 40 == 0:  # Twice within the offline interval.
            row = domain.checked_in(row, now, RULES)
        assert domain.polled(row, {"mail.send": 1}, now, RULES) is row


def test_a_new_queue_and_a_greater_count_are_worth_a_write() -> None:
    row = domain.polled(a_conductor_worker(), {"a": 1}, NOW, RULES)
    row = domain.polled(row, {"b": 2}, NOW, RULES)
    row = domain.polled(row, {"a": 3}, NOW, RULES)
    assert row.polls == {"a": Poll(NOW, 3), "b": Poll(NOW, 2)}
    assert domain.polled(row, {"a": 1, "b": 1}, NOW, RULES) is row


def test_a_worker_that_names_its_limit_costs_no_write_for_a_greater_count() -> None:
    row = domain.polled(a_worker(), {"a": 1}, NOW, RULES)
    assert domain.polled(row, {"a": 2}, NOW, RULES) is row


def test_a_queue_keeps_the_greatest_count_for_which_it_was_polled() -> None:
    row = domain.polled(a_conductor_worker(), {"a": 3}, NOW, RULES)
    later = NOW + RULES.seen_every
    assert domain.polled(row, {"a": 1}, later, RULES).polls == {"a": Poll(later, 3)}


def test_a_queue_that_is_still_polled_stays_in_the_record_of_a_worker_that_checks_in() -> None:
    row = domain.polled(a_worker(), {"a": 3}, NOW, RULES)
    later = NOW + RULES.polls_kept
    row = domain.checked_in(row, later, RULES)
    assert domain.polled(row, {"a": 1}, later - SECOND, RULES) is row
    assert domain.polled(row, {"a": 1}, later, RULES).polls == {"a": Poll(later, 1)}


def test_a_queue_that_is_no_longer_polled_is_dropped() -> None:
    row = domain.polled(a_conductor_worker(), {"a": 1}, NOW, RULES)
    row = domain.polled(row, {"b": 1}, NOW + RULES.polls_kept, RULES)
    assert set(row.polls) == {"b"}


def test_invented_queue_names_do_not_fill_the_row() -> None:
    row = a_conductor_worker()
    for number in range(1000):
        row = domain.polled(row, {f"queue-{number}": 1}, NOW, RULES)
    assert len(row.polls) == 100
    assert domain.polled(row, {"one more": 1}, NOW, RULES) is row


def test_a_sign_of_life_does_not_move_the_next_check() -> None:
    row = a_worker()
    at = NOW + RULES.offline_after
    assert row.watch_at == at
    row = domain.checked_in(row, NOW + 30 * SECOND, RULES)
    row = domain.changed(row, ["r1.1.0.1"], [], NOW + 31 * SECOND, RULES)
    assert row.watch_at == at


@pytest.mark.parametrize(
    "sign",
    [
        lambda row, now: domain.checked_in(row, now, RULES),
        lambda row, now: domain.polled(row, {"a": 1}, now, RULES),
        lambda row, now: domain.changed(row, ["r1.1.0.1"], [], now, RULES),
        lambda row, now: domain.seen(row, now, RULES),
    ],
    ids=["check-in", "poll", "start", "report"],
)
def test_a_worker_that_comes_back_is_checked_again(sign: Any) -> None:
    later = NOW + timedelta(hours=1)
    row = sign(domain.declared_lost(a_worker(), later), later)
    assert row.watch_at == later + RULES.offline_after
    assert not row.is_offline(later, RULES)


def test_a_poll_brings_back_a_worker_that_was_declared_lost_by_a_clock_ahead() -> None:
    row = domain.polled(a_conductor_worker(), {"a": 1}, NOW, RULES)
    row = domain.polled(domain.declared_lost(row, NOW), {"a": 1}, NOW, RULES)
    assert row.watch_at == NOW + RULES.offline_after


def test_a_poll_brings_back_a_worker_that_has_let_a_lease_run_out() -> None:
    row = domain.polled(a_conductor_worker(), {"a": 1}, NOW, RULES)
    row = domain.lapsed(domain.changed(row, ["r1.1.0.1"], [], NOW, RULES), "r1.1.0.1", NOW)
    assert row.is_offline(NOW, RULES)
    assert not domain.polled(row, {"a": 1}, NOW, RULES).is_offline(NOW, RULES)


def test_the_end_of_a_build_is_not_a_sign_of_life() -> None:
    later = NOW + timedelta(hours=1)
    row = domain.changed(a_worker(), ["r1.1.0.1"], [], NOW, RULES)
    row = domain.changed(row, [], ["r1.1.0.1"], later, RULES)
    assert row.running_build_ids == ()
    assert row.is_offline(later, RULES)


def test_a_build_that_is_unknown_or_known_changes_nothing_by_its_end_or_start() -> None:
    row = domain.changed(a_worker(), ["r1.1.0.1"], [], NOW, RULES)
    later = NOW + SECOND
    assert domain.changed(row, ["r1.1.0.1"], ["r1.1.9.1"], later, RULES) == row


def test_the_record_says_when_a_build_last_started_and_when_one_last_finished() -> None:
    row = domain.changed(a_worker(), ["r1.1.0.1"], [], NOW, RULES)
    assert (row.last_build_started_at, row.last_build_finished_at) == (NOW, None)
    later = NOW + SECOND
    row = domain.changed(row, [], ["r1.1.0.1"], later, RULES)
    assert (row.last_build_started_at, row.last_build_finished_at) == (NOW, later)


def test_a_drain_is_not_a_sign_of_life() -> None:
    later = NOW + timedelta(hours=1)
    row = drains.drained(domain.declared_lost(a_worker(), later))
    assert row.is_offline(later, RULES) and row.watch_at is None


# -- workers that only poll ----------------------------------------------------------------------


def test_a_worker_without_room_is_silent_and_alive() -> None:
    later = NOW + timedelta(hours=1)
    row = domain.changed(a_conductor_worker(), ["r1.1.0.1"], [], NOW, RULES)
    assert not row.is_offline(later, RULES)
    assert domain.changed(row, [], ["r1.1.0.1"], NOW, RULES).is_offline(later, RULES)


@given(asked=st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)), ids=IDS)
def test_a_guessed_limit_is_what_the_worker_asks_for_and_never_an_error(
    asked: dict[str, int], ids: list[str]
) -> None:
    row = domain.polled(a_conductor_worker(), asked, NOW, RULES)
    row = domain.changed(row, ids, [], NOW, RULES)
    assert row.build_limit == max(1, sum(asked.values()), len(set(ids)))
    assert row.status is not WorkerStatus.ERROR


# -- reports ---------------------------------------------------------------------------------------


def test_a_report_changes_what_it_names_and_nothing_else() -> None:
    row = a_worker(address="http://a", routes=("a",))
    assert domain.reported(row, WorkerReport(), NOW) == row
    named = WorkerReport(address="http://b", routes=["b", "c", "b"], build_limit=9, error="broken")
    after = domain.reported(row, named, NOW)
    assert (after.address, after.routes, after.build_limit) == ("http://b", ("b", "c"), 9)
    assert after.error == "broken"


# -- registering ---------------------------------------------------------------------------------


def test_a_worker_that_registers_again_stays_drained_and_is_well() -> None:
    before = drains.drained(a_worker(error="broken", status=WorkerStatus.ERROR))
    later = NOW + timedelta(hours=1)
    row = domain.registered(
        before, "host-1", "http://a", ["b", "b"], 4, later, RULES, generation="g1"
    )
    assert (row.is_drained, row.error, row.status) == (True, None, WorkerStatus.IDLE)
    assert (row.address, row.routes, row.build_limit) == ("http://a", ("b",), 4)
    assert row.last_checked_in == row.last_status_update_at == row.last_seen_at == later


def test_a_worker_that_left_takes_jobs_when_it_registers_again() -> None:
    left = domain.reported(a_worker(), WorkerReport(active=False), NOW)
    assert not left.may_have_work
    assert domain.registered(left, "host-1", "", [], 1, NOW, RULES, generation="g1").may_have_work


def test_a_worker_cannot_lift_a_drain() -> None:
    row = drains.drained(a_worker())
    assert not domain.reported(row, WorkerReport(active=True), NOW).may_have_work
    assert drains.resumed(row).may_have_work


def test_a_stop_lifts_only_its_own_drain() -> None:
    row = drains.drained_for_stop(drains.drained_for_stop(a_worker(), "one"), "other")
    assert drains.drained_for_stop(row, "one") == row
    row = drains.resumed_after_stop(row, "one")
    assert row.drained_for == ("other",) and not row.may_have_work
    assert drains.resumed_after_stop(row, "other").may_have_work
    row = drains.drained(row)
    assert not drains.resumed_after_stop(row, "other").may_have_work


def test_people_lift_every_drain() -> None:
    row = drains.drained_for_stop(drains.drained(a_worker()), "one")
    assert drains.resumed(row).may_have_work


def test_a_worker_that_left_takes_no_jobs_because_a_stop_has_ended() -> None:
    left = domain.reported(a_worker(), WorkerReport(active=False), NOW)
    row = drains.resumed_after_stop(drains.drained_for_stop(left, "one"), "one")
    assert not row.may_have_work


def test_a_worker_known_only_by_its_polls_may_register() -> None:
    row = domain.registered(a_conductor_worker(), "host-1", "", [], 1, NOW, RULES, generation="g1")
    assert row.kind is WorkerKind.REGISTERED
    assert row.build_limit == 1


@pytest.mark.parametrize("before", [None, a_conductor_worker()], ids=["unknown", "derived"])
def test_a_worker_that_registers_first_has_the_generation_of_its_tokens(
    before: Worker | None,
) -> None:
    row = domain.registered(before, "host-1", "", [], 1, NOW, RULES, generation="g1")
    assert row.generation == "g1"


def test_a_worker_that_registers_again_keeps_its_generation_so_its_other_tokens_stay_valid() -> (
    None
):
    row = domain.registered(a_worker(), "host-1", "", [], 1, NOW, RULES, generation="g2")
    assert row.generation == "g1"


@given(name=st.text(min_size=1, max_size=300))
def test_every_name_has_a_key_that_fits_a_path(name: str) -> None:
    key = worker_key(name)
    assert 0 < len(key) <= 200
    assert worker_key(key) == key
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-")


def test_a_record_is_pruned_after_a_week_of_silence() -> None:
    row = a_worker()
    assert not row.is_stale(NOW + RULES.kept - SECOND, RULES)
    assert row.is_stale(NOW + RULES.kept, RULES)
