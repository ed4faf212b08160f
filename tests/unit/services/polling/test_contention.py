"""Many pollers at one queue: how many of their claims are lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryTables
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.services.polling.tasks import Poller, Tasks
from shiftwork_platform.cloud.hub import Hub
from shiftwork_platform.cloud.process import EPOCH
from tests.world.world import World

POLLERS = 32
JOBS = 1000
#: A call of DynamoDB takes so long, and its index shows a write so much later.
CALL_S = 0.004
LAG_S = 0.05


@dataclass(slots=True)
class LaggingTables(MemoryTables):
    """Tables whose queues show for a while what has left them."""

    hub: Any = None
    left: list[tuple[float, Attempt]] = field(default_factory=list)

    def put_attempt(self, attempt: Attempt) -> Attempt:
        old = self.attempt(attempt.request_id, attempt.key)
        if old is not None and old.status is AttemptStatus.NEW:
            self.left.append((self.hub.now + LAG_S, old))
        return super(LaggingTables, self).put_attempt(attempt)

    def queueing(self) -> Iterator[Attempt]:
        yield from super(LaggingTables, self).queueing()
        self.left = [(until, row) for until, row in self.left if until > self.hub.now]
        yield from (row for _, row in self.left)


class Slow:
    """A store each call of which takes its time, so that others act meanwhile."""

    def __init__(self, store: object, hub: Hub, random: Random) -> None:
        self._store, self._hub, self._random = store, hub, random

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._hub.sleep(CALL_S * (0.5 + self._random.random()))
            return method(*args, **kwargs)

        return call


def run(seed: int, count: int) -> tuple[Counter[str], Counter[str]]:
    """Let every poller poll until nothing is left; return the tally, and who did each job."""
    random = Random(seed)
    hub = Hub(random)
    world = World(draw=random.random)
    world.tables = LaggingTables(hub=hub)
    world.store._tables = world.jobs._tables = world.tables
    world.jobs._index = lambda: world.tables
    world.job_type("poll", target="worker")
    world.request_type("some", [{"name": "poll", "type": "poll", "for_each": "params.items"}])
    world.submit("some", items=list(range(JOBS)))
    world.run()
    store: Any = Slow(world.store, hub, random)
    jobs: Any = Slow(world.jobs, hub, random)
    world.store, world.jobs = store, jobs
    # A process serves one call at a time; the one that was used last is used first.
    processes: list[Tasks] = []
    given: Counter[str] = Counter()

    def poll_on(name: str) -> None:
        hub.sleep(random.random() * 0.1)
        while len(given) < JOBS:
            world.clock.now = EPOCH + timedelta(seconds=hub.now)
            tasks = processes.pop() if processes else world.another().tasks
            found = tasks.poll("poll", Poller(name), count)
            processes.append(tasks)
            given.update(task.attempt.attempt_id for task in found)
            hub.sleep(0.01 * len(found) + 0.02 * random.random())

    for number in range(POLLERS):
        hub.spawn(f"w{number}", lambda name=f"w{number}": poll_on(name))  # type: ignore[misc]
    hub.run()
    return world.tally, given


@pytest.mark.parametrize("count", [1, 5])
def test_of_the_claims_of_32_pollers_under_a_tenth_is_lost(count: int) -> None:
    total: Counter[str] = Counter()
    for seed in range(3):
        tally, given = run(seed, count)
        assert len(given) == JOBS
        assert set(given.values()) == {1}
        total += tally
    wasted = total["lost"] / (total["lost"] + total["claimed"])
    print(f"{wasted:.1%} of {total.total()} claims lost")
    assert wasted < 0.1


def test_one_poller_takes_a_queue_in_its_order() -> None:
    world = World()
    world.job_type("poll", target="worker")
    world.request_type("some", [{"name": "poll", "type": "poll", "for_each": "params.items"}])
    world.submit("some", items=list(range(50)))
    world.run()
    found = [task.item for _ in range(10) for task in world.tasks.poll("poll", Poller("w"), 5)]
    assert found == list(range(50))
    assert world.tally["lost"] == 0
