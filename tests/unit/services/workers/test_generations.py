"""The generation of a worker's tokens is that of its record, and ends with it."""

from __future__ import annotations

from tests.world.world import RULES, World


def test_a_worker_without_a_record_has_no_generation(world: World) -> None:
    assert world.workers.generation_of("host-1") is None
    world.workers.register("host-1", "", [], 1, generation="g1")
    assert world.workers.generation_of("host-1") == "g1"
    world.clock.advance(RULES.kept.total_seconds())
    assert world.workers.generation_of("host-1") is None


def test_the_generation_of_a_deleted_worker_is_gone(world: World) -> None:
    world.workers.register("host-1", "", [], 1, generation="g1")
    world.workers.delete("host-1")
    assert world.workers.generation_of("host-1") is None
