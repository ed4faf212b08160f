"""A request runs its ordered steps of parallel jobs, on a whole engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import pytest

from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.domain.requests.records import StepStatus
from shiftwork_core.domain.requests.stalls import LastRound
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports.stores import DueRequest
from shiftwork_core.services.requests.advance import NO_TIME
from tests.world.counted import no_hang
from tests.world.world import World


def times(count: int) -> list[dict[str, Any]]:
    return [{"name": f"j{n}", "type": "work"} for n in range(count)]


def test_a_request_runs_its_steps_in_order_and_completes(world: World) -> None:
    world.job_type("work", lambda job: {job.name: len(job.extras)})
    world.request_type("two", times(3), times(1))
    request_id = world.submit("two")
    world.run()
    view = world.view(request_id)
    assert view["status"] == "Completed"
    # The second step sees what the whole first step returned, and lays its own over it.
    assert view["extras"] == {"j0": 3, "j1": 0, "j2": 0}
    assert [s["status"] for s in view["steps"]] == ["completed", "completed"]
    assert view["steps"][0]["jobs"]["completed"] == 3


def test_no_job_of_the_next_step_exists_before_the_step_is_completed(world: World) -> None:
    seen: list[list[str]] = []

    def look(job: Job) -> None:
        seen.append([a.name for a in world.attempts(job.request_id) if a.key.step == 2])

    world.job_type("work", look, batch_size=1)
    world.request_type("two", times(3), [{"name": "last", "type": "work"}])
    world.submit("two")
    world.run()
    assert seen == [[], [], [], ["last"]]


def test_for_each_makes_one_job_per_item(world: World) -> None:
    world.job_type("list", lambda job: {"files": ["a", "b", "c"]})
    world.job_type("read", lambda job: {job.item: job.name})
    world.request_type(
        "fan",
        [{"name": "list", "type": "list"}],
        [{"name": "read", "type": "read", "for_each": "extras.files"}],
    )
    request_id = world.submit("fan")
    world.run()
    extras = world.view(request_id)["extras"]
    assert (extras["a"], extras["b"], extras["c"]) == ("read[0]", "read[1]", "read[2]")


def test_an_empty_fan_out_completes_its_step_at_once(world: World) -> None:
    world.job_type("work", lambda job: None)
    world.request_type(
        "none", [{"name": "each", "type": "work", "for_each": "params.items"}], times(1)
    )
    request_id = world.submit("none", items=[])
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert world.statuses(request_id) == ["j0 1 completed"]


def test_a_for_each_over_nothing_fails_the_request_with_a_reason(world: World) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("none", [{"name": "each", "type": "work", "for_each": "params.item"}])
    request_id = world.submit("none")
    world.run()
    error = world.view(request_id)["error"]
    assert error["type"] == "PlanFault"
    assert "params.item" in error["message"]
    explanation = world.requests.explain(request_id)
    assert "it keeps version 1 of the request type" in explanation.summary
    assert explanation.next_command == "shiftwork submit none"


DOUBLING = "|".join(["params", *["[@,@]"] * 20])


@pytest.mark.parametrize(
    "job",
    [
        {"name": "j", "type": "work", "for_each": DOUBLING},
        {"name": "j", "type": "work", "params": {"all": "{" + DOUBLING + "}"}},
        {"name": "j", "type": "work", "for_each": "[`1`]", "params": {"all": "{" + DOUBLING + "}"}},
        {"name": "j", "type": "work", "params": {"all": "{to_number('1e999')}"}},
        {"name": "j", "type": "work", "params": {"all": "{[&a]}"}},
    ],
)
def test_a_request_whose_input_makes_planning_fail_fails_at_once_with_that_cause(
    world: World, job: dict[str, Any]
) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("bomb", [job])
    request_id = world.submit("bomb")
    with no_hang():
        world.run()
    error = world.view(request_id)["error"]
    assert world.request(request_id).status is RequestStatus.FAILED
    assert error["type"] == "PlanFault"
    assert error["step"] == 1
    assert "expression" in error["message"]
    assert not world.attempts(request_id)
    assert world.request(request_id).due_at is None


def test_jobs_have_their_own_params_where_the_definition_maps_them(world: World) -> None:
    world.job_type("work", lambda job: {"got": job.params})
    own = {"name": "j", "type": "work", "params": {"who": "{params.user}", "n": 1}}
    world.request_type("own", [own])
    request_id = world.submit("own", user="ada")
    world.run()
    assert world.view(request_id)["extras"] == {"got": {"who": "ada", "n": 1}}


def test_parallel_results_lose_no_key_and_a_failed_job_leaves_none(world: World) -> None:
    def work(job: Job) -> dict[str, Any]:
        if job.name == "j7":
            raise Failure("no")
        return {job.name: True}

    world.job_type("work", work, batch_size=3)
    world.request_type("wide", times(8))
    request_id = world.submit("wide")
    world.run()
    completed = {a.name for a in world.attempts(request_id) if a.status == "completed"}
    assert world.view(request_id)["extras"] == dict.fromkeys(completed, True)
    assert "j7" not in completed


@pytest.mark.parametrize(
    ("step_widths", "most"),
    [([1], 4), ([20], 4), ([20, 20, 20], 4)],
)
def test_a_step_costs_at_most_four_transitions_and_one_a_batch(
    world: World, step_widths: list[int], most: int
) -> None:
    world.job_type("work", lambda job: None, batch_size=10)
    world.request_type("any", *[times(width) for width in step_widths])
    request_id = world.submit("any")
    world.run()
    batches = sum(-(-width // 10) for width in step_widths)
    # The request's end costs a round of its own: settle, empty map, choice, succeed.
    end = 4
    transitions = world.machine.executions[request_id].transitions
    assert transitions <= most * len(step_widths) + batches + end


def test_a_step_whose_jobs_are_out_still_costs_at_most_four_transitions(world: World) -> None:
    world.job_type("work", fails_at_first(1), retry={"jitter": "none"})
    world.request_type("any", times(10))
    request_id = world.submit("any")
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert world.machine.executions[request_id].transitions <= 4 + 1 + 4


def fails_at_first(times: int) -> Callable[[Job], None]:
    def work(job: Job) -> None:
        if job.attempt <= times:
            raise Retry("not yet")

    return work


@pytest.mark.parametrize(
    ("timeout_s", "state"), [(240, "RunManyBatches"), (241, "RunManySlowBatches")]
)
def test_a_step_beyond_forty_batches_runs_as_a_distributed_map(
    world: World, timeout_s: float, state: str
) -> None:
    world.job_type("work", lambda job: None, batch_size=1, timeout_s=timeout_s)
    world.request_type("wide", times(41))
    request_id = world.submit("wide")
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert state in world.machine.executions[request_id].history


def test_a_long_request_is_handed_over_to_a_fresh_execution(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shiftwork_core.services.requests.dispatch.MAX_EVENTS", 50)
    world.remaining = NO_TIME
    world.job_type("work", lambda job: None)
    world.request_type("long", *[times(1) for _ in range(9)])
    request_id = world.submit("long")
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert len(world.machine.executions) > 1
    assert {e.status for e in world.machine.executions.values()} == {"SUCCEEDED"}


def test_two_executions_of_one_request_do_each_job_once(world: World) -> None:
    done: list[str] = []
    world.job_type("work", lambda job: done.append(job.name), batch_size=1)
    world.request_type("two", times(3), times(2))
    request_id = world.submit("two")
    world.machine.start(request_id, 7)  # As if a sweep had been hasty; it is no older than ours.
    world.run()
    assert sorted(done) == ["j0", "j0", "j1", "j1", "j2"]
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert [s.status for s in world.store.steps(request_id)] == [StepStatus.COMPLETED] * 2


def test_two_executions_of_one_number_do_not_wake_each_other_without_end(world: World) -> None:
    world.job_type("poll", target="worker")
    world.request_type("one", [{"name": "poll", "type": "poll"}])
    request_id = world.submit("one")
    world.run()
    world.machine.start_as("by-hand", request_id, 1)
    world.run()
    statuses = {name: e.status for name, e in world.machine.executions.items()}
    # Both step back for a fresh one, which alone waits.
    assert statuses == {
        request_id: "SUCCEEDED",
        "by-hand": "SUCCEEDED",
        f"{request_id}-2": "RUNNING",
    }
    assert all(e.transitions < 20 for e in world.machine.executions.values())


def test_a_wait_whose_registration_died_leaves_no_execution_waiting_forever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.job_type("poll", target="worker")
    world.request_type("one", [{"name": "poll", "type": "poll"}])
    request_id = world.submit("one")
    world.run()
    register = world.store.register_waiter

    def register_and_die(*args: Any) -> NoReturn:
        register(*args)
        raise Unavailable("the reply was lost")

    # The machine has tried again since, and waits under another token.
    with monkeypatch.context() as patch, suppress(Unavailable):
        patch.setattr(world.store, "register_waiter", register_and_die)
        world.barrier.wait(request_id, 1, "of-a-dead-try")
    world.run()
    statuses = {name: e.status for name, e in world.machine.executions.items()}
    assert statuses == {request_id: "SUCCEEDED", f"{request_id}-2": "RUNNING"}


def take_over(world: World, request_id: str) -> None:
    """Start a fresh execution, as the sweep does for a request that no execution advances."""
    due_at = world.request(request_id).due_at
    assert due_at is not None
    world.store.take_over(DueRequest(request_id, 1, due_at), due_at)
    world.machine.start(request_id, 2)
    world.run()


def test_an_execution_that_is_taken_over_while_it_waits_steps_back(world: World) -> None:
    world.job_type("poll", target="worker")
    world.request_type("one", [{"name": "poll", "type": "poll"}])
    request_id = world.submit("one")
    world.run()
    take_over(world, request_id)
    statuses = {name: e.status for name, e in world.machine.executions.items()}
    assert statuses == {request_id: "SUCCEEDED", f"{request_id}-2": "RUNNING"}


def test_an_execution_that_was_held_up_wakes_the_one_whose_step_it_completes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.job_type("poll", target="worker")
    world.request_type("one", [{"name": "poll", "type": "poll"}])
    request_id = world.submit("one")
    world.run()
    seen_by_first = world.request(request_id)
    take_over(world, request_id)
    # A worker completes the job, and dies before it can wake the second execution.
    [attempt] = world.attempts(request_id)
    now = world.clock()
    claim = world.jobs.claim(
        request_id, attempt.key, claim_id="c", worker_id="w", now=now, lease_until=now
    )
    assert claim.row is not None
    world.jobs.complete(claim.row, world.payloads.pack(request_id, {}), now)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "get", lambda _: seen_by_first)
        world.advancer.advance(request_id, 1, LastRound(events=20))
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert {e.status for e in world.machine.executions.values()} == {"SUCCEEDED"}


def test_results_too_large_for_a_row_come_back_transparently(world: World) -> None:
    large = "x" * 500_000
    world.job_type("work", lambda job: {"large": large, "seen": len(job.extras.get("large", ""))})
    world.request_type("two", times(1), times(1))
    request_id = world.submit("two")
    world.run()
    assert world.view(request_id)["extras"] == {"large": large, "seen": 500_000}
    assert all(a.output and a.output.text is None for a in world.attempts(request_id))
