"""The newest version of each job type is read seldom, and known soon."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shiftwork_core.services.polling.newest_types import KEPT, NewestType, NewestTypes
from tests.unit.services.conftest import counted
from tests.world.world import World

A_MOMENT = timedelta(milliseconds=1)


def test_each_type_is_read_again_when_its_own_time_is_over_and_no_sooner(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = NewestTypes(world.definitions, world.clock)
    reads = counted(monkeypatch, world.definitions, "newest_job_type")
    began = world.clock()
    newest.of("one")
    for after, name, read in [
        (KEPT / 2, "two", True),
        (KEPT - A_MOMENT, "one", False),
        (KEPT, "one", True),
        (KEPT * 3 / 2 - A_MOMENT, "two", False),
        (KEPT * 3 / 2, "two", True),
    ]:
        reads.clear()
        world.clock.now = began + after
        newest.of(name)
        assert reads == ([(name,)] if read else [])


def test_a_type_that_was_polled_for_before_it_was_defined_is_known_ten_seconds_later(
    world: World,
) -> None:
    newest = NewestTypes(world.definitions, world.clock)
    assert newest.of("poll") == NewestType(None, 1)
    world.job_type("poll", target="worker", worker={"shards": 3})
    world.clock.now += KEPT
    found = newest.of("poll")
    assert found.job_type is not None
    assert (found.job_type.name, found.shards) == ("poll", 3)
