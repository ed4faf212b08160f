"""Why a worker gets no job: each reason, and the advice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.domain.workers.workers import WorkerReport
from shiftwork_core.services.polling.reports import Report, ReportStatus
from shiftwork_core.services.polling.tasks import Poller
from tests.world import edge
from tests.world.world import World

ME = "host-1"


def explain(world: World) -> dict[str, Any]:
    return edge.worker_explanation_view(world.worker_explainer.explain(world.workers.get(ME)))


def poll(world: World, queue: str = "render", count: int = 1, worker: str = ME) -> int:
    """Poll as the task API does; return how many jobs there were."""
    type, _, domain = queue.partition("#")
    return len(world.tasks.poll(type, Poller(worker, domain or None), count))


def submit(world: World, jobs: int = 1) -> None:
    world.submit("film", frames=list(range(jobs)))
    world.run()


@pytest.fixture
def world(world: World) -> World:
    """An engine in which jobs of one type are polled."""
    world.job_type("render", target="worker")
    world.request_type("film", [{"name": "frame", "type": "render", "for_each": "params.frames"}])
    world.workers.register(ME, "", [], 2, generation="g1")
    return world


def the_queue(explanation: dict[str, Any]) -> dict[str, Any]:
    [queue] = explanation["queues"]
    return dict(queue)


def test_an_explanation_says_how_many_jobs_a_worker_can_have(world: World) -> None:
    poll(world)
    submit(world, 3)
    explanation = explain(world)
    assert explanation["summary"] == "It can be given work now: 3 jobs wait for it."
    assert the_queue(explanation) == {
        "queue": "render",
        "waiting": 3,
        "is_blocked": False,
        "reason": "jobs can be taken now",
        "next": "",
    }


def test_an_explanation_counts_what_waits_in_all_shards(world: World) -> None:
    world.job_type("render", target="worker", worker={"shards": 8})
    poll(world)
    submit(world, 40)
    assert explain(world)["summary"] == "It can be given work now: 40 jobs wait for it."
    world.clock.advance(31)
    assert poll(world, count=39, worker="host-2") == 39
    world.workers.check_in(ME, WorkerReport())
    assert explain(world)["summary"] == "It can be given work now: 1 job waits for it."


def test_a_worker_of_an_empty_domain_is_told_what_waits_in_the_shards_of_none(
    world: World,
) -> None:
    world.job_type("render", target="worker", worker={"shards": 8})
    poll(world, "render#gpu")
    submit(world, 40)
    reason = the_queue(explain(world))["reason"]
    assert reason == "wrong queue: nothing waits in the domain 'gpu', 40 without one"


def test_an_empty_queue_says_so(world: World) -> None:
    poll(world)
    explanation = explain(world)
    assert explanation["summary"] == "Nothing that it polls for can be given to it now."
    assert the_queue(explanation)["reason"] == "nothing there: no job of it waits"
    assert "render" in explanation["next"]


def test_a_queue_of_delayed_jobs_says_so(world: World) -> None:
    submit(world)
    [task] = world.tasks.poll("render", Poller(ME), 1)
    world.tasks.report(
        Report(task.attempt.attempt_id, ReportStatus.IN_PROGRESS, {}, "", ME, callback_after_s=60)
    )
    assert the_queue(explain(world))["reason"] == (
        "nothing there yet: 1 job waits for a back-off or a callback"
    )


def test_an_unknown_job_type_is_answered_with_one_of_similar_name(world: World) -> None:
    poll(world, "rendr")
    queue = the_queue(explain(world))
    assert queue["reason"] == ("wrong queue: there is no job type 'rendr'; did you mean 'render'?")
    assert queue["next"] == "shiftwork types"


def test_a_deleted_type_is_unknown(world: World) -> None:
    from shiftwork_core.domain.requests.definitions import Kind

    poll(world)
    world.definitions.delete(Kind.JOB_TYPE, "render")
    assert "there is no job type 'render'" in the_queue(explain(world))["reason"]


def test_a_type_of_another_target_is_the_wrong_queue(world: World) -> None:
    world.job_type("add")
    poll(world, "add")
    queue = the_queue(explain(world))
    assert queue["reason"] == "wrong queue: jobs of 'add' are done by python, not by workers"
    assert "target: worker" in queue["next"]


def test_an_empty_domain_names_the_jobs_without_one(world: World) -> None:
    poll(world, "render#eu")
    submit(world, 2)
    queue = the_queue(explain(world))
    assert queue["reason"] == "wrong queue: nothing waits in the domain 'eu', 2 without one"
    assert "without a domain" in queue["next"]


def test_a_reached_concurrency_limit_is_named(world: World) -> None:
    world.job_type("render", target="worker", worker={"concurrency_limit": 1})
    submit(world, 2)
    assert poll(world, worker="host-2") == 1
    assert poll(world) == 0
    queue = the_queue(explain(world))
    assert queue["reason"] == "its concurrency limit is reached: 1 of 1 run"
    assert "raise it" in queue["next"]


def test_a_reached_rate_limit_is_named(world: World) -> None:
    world.job_type("render", target="worker", worker={"rate_limit": {"count": 1, "per_s": 60}})
    submit(world, 2)
    assert poll(world, worker="host-2") == 1
    assert poll(world) == 0
    assert the_queue(explain(world))["reason"] == "its rate limit is reached: 1 in 60 s"
    world.clock.advance(60)
    assert not the_queue(explain(world))["is_blocked"]


def test_an_explanation_says_that_a_worker_is_at_its_own_limit(world: World) -> None:
    submit(world, 3)
    assert poll(world, count=2) == 2
    explanation = explain(world)
    assert explanation["summary"] == "It is at its limit: it runs 2 of 2."
    assert (explanation["status"], explanation["running"]) == ("busy", 2)
    assert "build_limit" in explanation["next"]


def test_the_explanation_of_a_drained_worker_says_how_to_resume_it(world: World) -> None:
    submit(world)
    world.workers.drain(ME)
    assert poll(world) == 0
    explanation = explain(world)
    assert explanation["summary"].startswith("It is drained")
    assert explanation["next"] == "shiftwork worker resume host-1"


def test_the_explanation_of_a_worker_drained_for_a_stop_names_the_stop(world: World) -> None:
    submit(world)
    world.workers.drain(ME, stop_id="stop-1")
    assert poll(world) == 0
    row = world.workers.get(ME)
    assert edge.worker_view(row, world.workers.status_of(row))["drained"]
    explanation = explain(world)
    assert explanation["summary"].startswith("It is drained while its workspace is being stopped")
    assert explanation["next"] == "shiftwork lifecycle-job show stop-1"
    world.workers.resume(ME, stop_id="stop-1")
    assert poll(world) == 1


def test_an_explanation_says_that_a_worker_leaves_or_has_left(world: World) -> None:
    leaving = WorkerReport(active=False, running_build_ids=["r.1.0.1"])
    world.workers.report(ME, leaving, by_itself=True)
    assert poll(world) == 0
    assert explain(world)["summary"] == "It has said itself that it takes no more."
    world.workers.report(ME, WorkerReport(running_build_ids=[]), by_itself=True)
    explanation = explain(world)
    assert explanation["status"] == "stopped"
    assert explanation["summary"] == "It has stopped: it said itself that it leaves."


def test_the_explanation_of_an_offline_worker_says_when_it_was_last_seen(world: World) -> None:
    world.clock.advance(91)
    explanation = explain(world)
    assert explanation["status"] == "offline"
    summary = "It is offline: it was last seen at 2026-01-01T00:00:00.000Z."
    assert explanation["summary"] == summary
    assert explanation["next"] == "start it again"


def test_the_explanation_of_a_worker_that_let_a_lease_run_out_says_so(world: World) -> None:
    world.workers.report(ME, WorkerReport(running_build_ids=["r.1.0.1"]), by_itself=True)
    world.workers.lapsed(ME, "r.1.0.1", world.clock() + timedelta(seconds=5))
    explanation = explain(world)
    assert explanation["status"] == "offline"
    assert explanation["summary"] == (
        "It is offline: it was last seen at 2026-01-01T00:00:00.000Z, "
        "and has let a lease run out at 2026-01-01T00:00:05.000Z."
    )


def test_a_worker_that_polls_nothing(world: World) -> None:
    assert explain(world)["summary"] == "It polls no queue."


def test_a_route_that_the_worker_does_not_poll_is_named(world: World) -> None:
    world.workers.register(ME, "", ["render", "mix"], 2, generation="g1")
    poll(world)
    queues = {q["queue"]: q["reason"] for q in explain(world)["queues"]}
    assert list(queues) == ["render", "mix"]
    assert "does not poll it" in queues["mix"]


def test_each_queue_is_explained_separately(world: World) -> None:
    poll(world, "rendr")
    poll(world)
    submit(world)
    explanation = explain(world)
    assert explanation["summary"] == "It can be given work now: 1 job waits for it."
    assert {q["queue"]: q["is_blocked"] for q in explanation["queues"]} == {
        "render": False,
        "rendr": True,
    }
