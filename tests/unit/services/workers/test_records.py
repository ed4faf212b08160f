"""Worker records: what is written when, who wins a race, and how lost builds are requeued."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryWorkerStore
from shiftwork_core.caller import Caller
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.workers.workers import Worker, WorkerKind, WorkerReport, WorkerStatus
from shiftwork_core.errors import NotFound, Throttled, Unavailable
from shiftwork_core.ports.stores import Write
from shiftwork_core.ports.workers import Standing
from shiftwork_core.services.sweep import Sweep
from shiftwork_core.services.workers.records import WorkerFilter, WorkerRecords
from tests.world.world import RULES, World

OFFLINE_S = RULES.offline_after.total_seconds() + 1
QUEUE = {"render": 1}


class Counting(MemoryWorkerStore):
    """A store that counts calls, and can lose the reply to a write or fail before it."""

    def __init__(self, world: World) -> None:
        super().__init__(world.tables)
        self.calls: Counter[str] = Counter()
        self.lost = 0
        self.is_down = False

    def get(self, worker_id: str) -> Worker | None:
        self.calls["get"] += 1
        return super().get(worker_id)

    def save(self, worker: Worker) -> Write[Worker | None]:
        self.calls["save"] += 1
        if self.is_down:
            raise Unavailable("no answer")
        write = super().save(worker)
        if self.lost:
            self.lost -= 1
            raise Unavailable("the reply was lost")
        return write


class Kept:
    """The service of records over a store that counts calls."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = Counting(world)
        self.workers = self.another()

    def another(self) -> WorkerRecords:
        """Return the records as another process has them."""
        return self.world.another(workers=self.store).workers

    def poll(self, wants: dict[str, int] | None = None, name: str = "host-1") -> bool:
        wants = QUEUE if wants is None else wants
        return self.workers.polling(name, wants, self.world.clock()) is Standing.MAY_WORK

    def change(self, started: list[str], finished: list[str], **options: Any) -> None:
        self.workers.changed("host-1", started, finished, self.world.clock(), **options)

    def writes(self) -> int:
        """Return the number of writes since the last call."""
        return self.store.calls.pop("save", 0)

    @property
    def row(self) -> Worker:
        row = self.store.get("host-1")
        assert row is not None
        return row


@pytest.fixture
def kept(world: World) -> Kept:
    return Kept(world)


# -- writes --------------------------------------------------------------------------------------


def test_a_start_and_a_finish_cost_a_write_each_and_a_poll_none(kept: Kept) -> None:
    kept.workers.register("host-1", "", ["render"], 2, generation="g1")
    assert kept.poll()
    kept.writes()
    for number in range(20):
        kept.world.clock.advance(1)
        assert kept.poll()
        assert kept.writes() == 0
        kept.change([f"r1.1.{number}.1"], [])
        assert kept.writes() == 1
        kept.change([], [f"r1.1.{number}.1"])
        assert kept.writes() == 1
        if number == 9:
            kept.workers.check_in("host-1", WorkerReport())
            kept.writes()


def test_what_finishes_and_starts_in_one_call_costs_one_write_and_one_read(kept: Kept) -> None:
    kept.poll()
    kept.change(["a.1.0.1", "a.1.1.1"], [])
    kept.store.calls.clear()
    kept.poll()
    kept.change(["a.1.2.1", "a.1.3.1"], ["a.1.0.1", "a.1.1.1"], error="")
    assert kept.store.calls == {"get": 1, "save": 1}
    assert kept.row.running_build_ids == ("a.1.2.1", "a.1.3.1")


def test_the_same_report_again_costs_nothing(kept: Kept) -> None:
    kept.poll()
    for _ in range(2):
        kept.change(["a.1.0.1"], [])
    for _ in range(2):
        kept.change([], ["a.1.0.1"])
    kept.change([], [])
    assert kept.writes() == 3


def test_an_unchanged_conductor_worker_costs_a_write_twice_a_minute(kept: Kept) -> None:
    for _ in range(9 * 300):  # An idle process of conductor-python polls nine times a second.
        kept.poll()
        kept.world.clock.advance(1 / 9)
    assert kept.writes() == 300 / 30
    assert kept.row.kind is WorkerKind.DERIVED
    assert not kept.row.is_offline(kept.world.clock(), RULES)


def test_another_process_that_polls_under_the_name_writes_no_more(kept: Kept) -> None:
    other = kept.another()
    for _ in range(60):
        kept.poll()
        other.polling("host-1", QUEUE, kept.world.clock())
        kept.world.clock.advance(1)
    assert kept.writes() == 2


def test_a_drain_stops_new_jobs_at_once_and_lets_builds_finish(kept: Kept) -> None:
    kept.poll()
    kept.change(["a.1.0.1"], [])
    kept.another().drain("host-1")
    assert not kept.poll()
    kept.change([], ["a.1.0.1"])
    assert (kept.row.status, kept.row.may_have_work) == (WorkerStatus.IDLE, False)
    kept.another().resume("host-1")
    assert kept.poll()


def test_a_worker_without_a_name_is_given_work_and_has_no_record(kept: Kept) -> None:
    assert kept.poll(name="")
    kept.workers.changed("", ["a.1.0.1"], [], kept.world.clock())
    assert kept.workers.running("") == ()
    assert not list(kept.store.all())


def test_any_name_has_a_record_that_can_be_addressed(kept: Kept) -> None:
    kept.poll(name="10.0.0.7:host/ä")
    [row] = kept.store.all()
    assert (row.worker_id, row.hostname) == ("10.0.0.7-host~-", "10.0.0.7:host/ä")
    kept.workers.drain(row.worker_id)
    assert not kept.poll(name="10.0.0.7:host/ä")


def test_an_error_is_kept_until_the_worker_is_well(kept: Kept) -> None:
    kept.poll()
    kept.change([], [], error="the GPU is gone")
    kept.change(["a.1.0.1"], [])
    assert (kept.row.status, kept.row.error) == (WorkerStatus.ERROR, "the GPU is gone")
    kept.change([], [], error="")
    assert (kept.row.status, kept.row.error) == (WorkerStatus.BUSY, None)


# -- races and faults ----------------------------------------------------------------------------


def test_two_processes_under_one_name_lose_no_write_of_each_other(kept: Kept) -> None:
    kept.workers.register("host-1", "", [], 100, generation="g1")
    processes = [kept.another() for _ in range(2)]
    ready = threading.Barrier(2)

    def work(number: int) -> None:
        ready.wait()
        now = kept.world.clock()
        for job in range(50):
            processes[number].polling("host-1", QUEUE, now)
            processes[number].changed("host-1", [f"p{number}.1.{job}.1"], [], now)
        for job in range(40):
            processes[number].changed("host-1", [], [f"p{number}.1.{job}.1"], now)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    left = {f"p{number}.1.{job}.1" for number in range(2) for job in range(40, 50)}
    assert set(kept.row.running_build_ids) == left
    assert kept.row.status is WorkerStatus.AVAILABLE


def test_one_of_many_first_polls_makes_the_record(kept: Kept) -> None:
    ready = threading.Barrier(8)

    def poll(number: int) -> bool:
        process = kept.another()
        ready.wait()
        wants = {f"queue-{number}": 1}
        return process.polling("host-1", wants, kept.world.clock()) is Standing.MAY_WORK

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(poll, range(8)))
    assert set(kept.row.polls) == {f"queue-{number}" for number in range(8)}


def test_a_change_whose_reply_is_lost_has_happened_and_is_not_repeated(kept: Kept) -> None:
    kept.poll()
    kept.store.lost = 1
    kept.change(["a.1.0.1"], [])
    before = kept.row
    kept.change(["a.1.0.1"], [])
    assert kept.row == before
    assert before.running_build_ids == ("a.1.0.1",)


def test_a_record_that_cannot_be_written_stops_no_work(kept: Kept) -> None:
    kept.store.is_down = True
    assert kept.poll()
    kept.change(["a.1.0.1"], [])
    assert kept.store.get("host-1") is None
    kept.store.is_down = False
    assert kept.poll()
    assert kept.row.polls


def test_a_workers_own_report_is_not_lost_silently(kept: Kept) -> None:
    kept.workers.register("host-1", "", [], 1, generation="g1")
    kept.world.clock.advance(1)
    kept.store.is_down = True
    with pytest.raises(Unavailable):
        kept.workers.check_in("host-1", WorkerReport())
    with pytest.raises(Unavailable):
        kept.workers.drain("host-1")


def test_a_write_that_loses_every_race_is_refused(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.workers.register("host-1", "", [], 1, generation="g1")
    row = kept.row
    monkeypatch.setattr(kept.store, "save", lambda worker: Write(False, row))
    with pytest.raises(Throttled):
        kept.workers.drain("host-1")


# -- pruning -------------------------------------------------------------------------------------


def test_a_record_that_expired_is_gone_before_dynamodb_deletes_it(kept: Kept) -> None:
    kept.poll()
    kept.workers.drain("host-1")
    kept.world.clock.advance(RULES.kept.total_seconds())
    with pytest.raises(NotFound):
        kept.workers.get("host-1")
    with pytest.raises(NotFound):
        kept.workers.check_in("host-1", WorkerReport())
    assert kept.poll()
    assert kept.row.may_have_work


# -- leases that run out -------------------------------------------------------------------------


def test_a_lapse_is_recorded_once_and_the_workers_next_call_ends_it(kept: Kept) -> None:
    kept.workers.register("host-1", "", ["render"], 2, generation="g1")
    kept.change(["r1.1.0.1"], [])
    kept.world.clock.advance(5)
    kept.writes()
    for _ in range(2):
        kept.workers.lapsed("host-1", "r1.1.0.1", kept.world.clock())
        kept.world.clock.advance(1)
    assert kept.writes() == 1
    assert kept.workers.status_of(kept.row) is WorkerStatus.OFFLINE
    assert kept.poll()
    assert kept.writes() == 1
    assert kept.workers.status_of(kept.row) is WorkerStatus.IDLE


def test_a_call_that_began_before_a_lapse_shows_no_life_and_gets_no_work(kept: Kept) -> None:
    """Nobody tells a function that the worker whose call it serves has died."""
    kept.workers.register("host-1", "", ["render"], 2, generation="g1")
    kept.change(["r1.1.0.1"], [])
    called_at = kept.world.clock()
    kept.world.clock.advance(5)
    kept.workers.lapsed("host-1", "r1.1.0.1", kept.world.clock())
    kept.world.clock.advance(1)
    kept.writes()

    def standing() -> Standing:
        return kept.workers.polling("host-1", QUEUE, kept.world.clock(), called_at=called_at)

    assert standing() is Standing.SILENT
    kept.world.clock.advance(60)
    assert standing() is Standing.SILENT
    assert kept.writes() == 0
    assert kept.workers.status_of(kept.row) is WorkerStatus.OFFLINE
    called_at = kept.world.clock()
    assert standing() is Standing.MAY_WORK


def test_a_lapse_makes_no_record_of_a_worker_that_has_none(kept: Kept) -> None:
    for name in ("host-9", ""):
        kept.workers.lapsed(name, "r1.1.0.1", kept.world.clock())
        assert kept.store.get(name) is None


def test_a_lapse_that_cannot_be_recorded_keeps_no_attempt_from_its_queue(kept: Kept) -> None:
    kept.workers.register("host-1", "", ["render"], 2, generation="g1")
    kept.change(["r1.1.0.1"], [])
    kept.store.lost = 1
    kept.workers.lapsed("host-1", "r1.1.0.1", kept.world.clock())


def test_a_lapse_of_a_worker_whose_record_is_deleted_meanwhile_stops_nothing(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.poll()
    kept.change(["r1.1.0.1"], [])
    save = kept.store.save

    def deleted(worker: Worker) -> Write[Worker | None]:
        monkeypatch.setattr(kept.store, "save", save)
        kept.world.tables.workers.clear()
        return Write(won=False, row=None)

    monkeypatch.setattr(kept.store, "save", deleted)
    kept.workers.lapsed("host-1", "r1.1.0.1", kept.world.clock())
    assert kept.workers.running("host-1") == ()


# -- what costs nothing, and what is told ---------------------------------------------------------


def test_a_change_of_nothing_reads_nothing_and_makes_no_record(kept: Kept) -> None:
    kept.change([], [])
    assert kept.store.calls == {}
    assert kept.store.get("host-1") is None


def test_the_builds_of_a_worker_are_those_of_its_record_if_it_has_one(kept: Kept) -> None:
    assert kept.workers.running("host-1") == ()
    kept.change(["r1.1.0.1"], [])
    assert kept.workers.running("host-1") == ("r1.1.0.1",)
    kept.store.calls.clear()
    assert kept.workers.running("") == ()
    assert kept.store.calls == {}


@pytest.mark.parametrize(("later_s", "reads"), [(1.9, 0), (2, 1)])
def test_what_a_poll_has_read_is_read_again_after_two_seconds(
    kept: Kept, later_s: float, reads: int
) -> None:
    kept.poll()
    kept.store.calls.clear()
    kept.world.clock.advance(later_s)
    kept.change(["r1.1.0.1"], [])
    assert kept.store.calls["get"] == reads


def test_a_change_by_people_that_names_nothing_drains_nobody(kept: Kept) -> None:
    kept.workers.register("host-1", "", [], 1, generation="g1")
    row = kept.workers.report("host-1", WorkerReport(build_limit=5), by_itself=False)
    assert (row.build_limit, row.is_drained) == (5, False)


def test_workers_are_listed_page_by_page_without_those_that_are_long_gone(kept: Kept) -> None:
    kept.workers.register("gone", "", [], 1, generation="g1")
    kept.world.clock.advance(RULES.kept.total_seconds())
    for name in ("a", "b", "c"):
        kept.workers.register(name, "", [], 1, generation="g1")
    first = kept.workers.find(WorkerFilter(), 2, None)
    assert ([row.worker_id for row in first.items], first.next_token) == (["a", "b"], "b")
    rest = kept.workers.find(WorkerFilter(), 1, first.next_token)
    assert ([row.worker_id for row in rest.items], rest.next_token) == (["c"], "c")
    last = kept.workers.find(WorkerFilter(), 1, rest.next_token)
    assert (last.items, last.next_token) == ([], None)


def test_the_end_of_a_stop_lifts_no_other_drain(kept: Kept) -> None:
    kept.workers.register("host-1", "", [], 1, generation="g1")
    kept.workers.drain("host-1")
    kept.workers.drain("host-1", stop_id="stop")
    assert not kept.workers.resume("host-1", stop_id="stop").may_have_work
    assert kept.workers.resume("host-1").may_have_work


def test_a_name_that_is_unknown_is_answered_with_where_to_look(kept: Kept) -> None:
    with pytest.raises(NotFound) as caught:
        kept.workers.get("nobody")
    assert caught.value.next_step == "list what there is: GET /v1/workers"


# -- lost workers --------------------------------------------------------------------------------


@pytest.fixture
def busy(world: World) -> Attempt:
    """An attempt that the worker host-1 holds under a lease of an hour."""
    world.job_type("render", target="worker", retry={"max_attempts": 3, "delay_s": 60})
    world.request_type("film", [{"name": "frame", "type": "render"}])
    request_id = world.submit("film")
    world.run()
    [attempt] = world.attempts(request_id)
    write = world.jobs.claim(
        request_id,
        attempt.key,
        claim_id="c",
        worker_id="host-1",
        now=world.clock(),
        lease_until=world.clock() + timedelta(hours=1),
    )
    assert write.won and write.row is not None
    return write.row


def start(world: World, attempt: Attempt) -> None:
    world.workers.changed("host-1", [attempt.attempt_id], [], world.clock())


def sweep(world: World) -> int:
    return world.sweeper.sweep(Sweep.WORKERS)


def test_a_lost_workers_builds_are_requeued_at_once(world: World, busy: Attempt) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    start(world, busy)
    world.clock.advance(OFFLINE_S)
    assert sweep(world) == 1
    assert world.statuses(busy.request_id) == ["frame 1 retry", "frame 2 new"]
    lost, successor = world.attempts(busy.request_id)
    assert lost.error is not None and lost.error.type == "WorkerLost"
    assert "91 s" in lost.error.message
    assert successor.wake_at is None or successor.wake_at <= world.clock()
    row = world.workers.get("host-1")
    assert row.running_build_ids == ()
    assert world.workers.status_of(row) == "offline"


def test_a_worker_is_declared_lost_once(world: World, busy: Attempt) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    start(world, busy)
    world.clock.advance(OFFLINE_S)
    assert [sweep(world) for _ in range(3)] == [1, 0, 0]
    assert list(world.worker_store.watched(world.clock() + timedelta(days=1))) == []


def test_a_worker_that_checks_in_is_alive(world: World, busy: Attempt) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    start(world, busy)
    for _ in range(20):
        world.clock.advance(30)
        world.workers.check_in("host-1", WorkerReport())
        assert sweep(world) == 0
    assert world.statuses(busy.request_id) == ["frame 1 inprogress"]


def test_a_silent_worker_is_declared_lost_by_the_first_sweep_after_the_interval(
    world: World, busy: Attempt
) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    start(world, busy)
    for _ in range(7):
        world.clock.advance(13)
        world.workers.check_in("host-1", WorkerReport())
        sweep(world)
    died_at = world.clock()
    while world.statuses(busy.request_id) == ["frame 1 inprogress"]:
        world.clock.advance(60)
        sweep(world)
    assert world.clock() - died_at <= RULES.offline_after + timedelta(seconds=60)


def test_a_worker_that_only_polls_is_alive_while_it_has_a_lease(
    world: World, busy: Attempt
) -> None:
    world.workers.polling("host-1", QUEUE, world.clock())
    start(world, busy)
    for _ in range(30):
        world.clock.advance(100)
        assert sweep(world) == 0
    assert world.statuses(busy.request_id) == ["frame 1 inprogress"]
    assert world.workers.status_of(world.workers.get("host-1")) == "busy"
    world.clock.advance(601)
    assert sweep(world) == 1
    assert world.statuses(busy.request_id) == ["frame 1 retry", "frame 2 new"]
    assert world.workers.status_of(world.workers.get("host-1")) == "offline"


def test_a_build_that_is_no_longer_held_is_taken_out_of_the_record(
    world: World, busy: Attempt
) -> None:
    """A process may die between recording an outcome and updating the worker's record."""
    world.workers.register("host-1", "", [], 1, generation="g1")
    start(world, busy)
    world.workers.changed("host-1", ["gone.1.0.1"], [], world.clock())
    assert world.workers.get("host-1").status is WorkerStatus.ERROR
    for _ in range(4):
        world.clock.advance(30)
        world.workers.check_in("host-1", WorkerReport())
        sweep(world)
    row = world.workers.get("host-1")
    assert (row.running_build_ids, row.status) == ((busy.attempt_id,), WorkerStatus.BUSY)


def test_a_build_that_another_worker_holds_is_left_alone(world: World, busy: Attempt) -> None:
    world.workers.register("host-2", "", [], 1, generation="g1")
    world.workers.changed("host-2", [busy.attempt_id], [], world.clock())
    world.clock.advance(OFFLINE_S)
    assert sweep(world) == 1
    assert world.statuses(busy.request_id) == ["frame 1 inprogress"]


def test_a_sweep_that_dies_half_way_leaves_the_rest_to_the_next(
    world: World, busy: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    start(world, busy)
    world.clock.advance(OFFLINE_S)
    with monkeypatch.context() as patch:
        patch.setattr(
            world.worker_store, "save", lambda worker: (_ for _ in ()).throw(Unavailable("x"))
        )
        assert sweep(world) == 0
    assert world.statuses(busy.request_id) == ["frame 1 retry", "frame 2 new"]
    assert sweep(world) == 1
    assert world.statuses(busy.request_id) == ["frame 1 retry", "frame 2 new"]


def test_a_worker_that_comes_back_keeps_its_record(
    world: World, busy: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    start(world, busy)
    world.clock.advance(OFFLINE_S)
    record = world.recorder.record

    def come_back(*arguments: Any, **options: Any) -> Any:
        world.workers.check_in("host-1", WorkerReport())
        return record(*arguments, **options)

    monkeypatch.setattr(world.recorder, "record", come_back)
    assert sweep(world) == 0
    assert world.workers.status_of(world.workers.get("host-1")) != "offline"
    assert list(world.worker_store.watched(world.clock() + timedelta(days=1))) == ["host-1"]


@pytest.mark.parametrize(
    ("says", "statuses"),
    [
        ([], ["frame 1 retry", "frame 2 new"]),
        (["other.1.0.1"], ["frame 1 retry", "frame 2 new"]),
        (None, ["frame 1 inprogress"]),
    ],
    ids=["nothing", "something else", "not a word"],
)
def test_a_restarted_worker_names_its_builds_and_the_others_are_requeued(
    world: World, busy: Attempt, says: list[str] | None, statuses: list[str]
) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    start(world, busy)
    row, _ = world.registrations.register(Caller(), "host-1", "", [], 1, says)
    assert world.statuses(busy.request_id) == statuses
    assert row.running_build_ids == ((busy.attempt_id,) if says is None else ())
    assert row == world.workers.get("host-1")


def test_a_worker_that_registers_again_keeps_what_it_holds(world: World, busy: Attempt) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    start(world, busy)
    row, _ = world.registrations.register(Caller(), "host-1", "", [], 1, [busy.attempt_id])
    assert row.running_build_ids == (busy.attempt_id,)
    assert world.statuses(busy.request_id) == ["frame 1 inprogress"]


def test_a_lost_worker_that_polls_again_is_watched_again(world: World, busy: Attempt) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    world.clock.advance(OFFLINE_S)
    assert sweep(world) == 1
    world.workers.polling("host-1", QUEUE, world.clock())
    assert world.workers.status_of(world.workers.get("host-1")) == "idle"
    world.clock.advance(OFFLINE_S)
    assert sweep(world) == 1
