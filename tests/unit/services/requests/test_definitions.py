"""What a definition keeps of the versions before it: in how many shards its jobs may wait."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.domain.requests.definitions import Kind
from tests.world.world import World


def sharded(shards: int) -> dict[str, Any]:
    return {"target": "worker", "worker": {"shards": shards}}


@pytest.mark.parametrize(
    ("bodies", "shards"),
    [
        ([], 1),
        ([{"target": "worker"}], 1),
        ([{"target": "worker", "worker": None}], 1),
        ([sharded(8)], 8),
        ([sharded(8), sharded(2)], 8),
        ([sharded(2), sharded(8), {"target": "python"}, {"target": "worker"}], 8),
    ],
)
def test_a_type_is_looked_for_in_the_most_shards_that_any_version_had(
    world: World, bodies: list[dict[str, Any]], shards: int
) -> None:
    for body in bodies:
        world.definitions.put(Kind.JOB_TYPE, "poll", body)
    assert world.definitions.queue_shards("poll") == shards


def test_a_type_that_was_deleted_and_put_again_is_looked_for_in_its_old_shards(
    world: World,
) -> None:
    world.definitions.put(Kind.JOB_TYPE, "poll", sharded(8))
    world.definitions.delete(Kind.JOB_TYPE, "poll")
    assert world.definitions.queue_shards("poll") == 8
    world.definitions.put(Kind.JOB_TYPE, "poll", {"target": "worker"})
    assert world.definitions.queue_shards("poll") == 8
