"""How a sweep goes through what is due, whatever that is, and what it says of what it puts off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.times import to_iso
from shiftwork_core.ports.shards import SHARDS
from shiftwork_core.services.sweep import Finds, Sweep, Sweeper, SweepHost
from shiftwork_platform.wiring import LEASE, one_after_the_other
from tests.world.world import World


@dataclass
class Numbers(Finds):
    """Numbers that are due in one shard, of which some cannot be checked."""

    due: Sequence[int]
    broken: Sequence[int] = ()
    checked: list[int] = field(default_factory=list)
    later: PutOff | None = None

    def due_in(self, shard: str) -> Sequence[int]:
        return self.due if shard == SHARDS[0] else ()

    def check(self, find: int) -> bool:
        self.checked.append(find)
        if find in self.broken:
            raise ValueError("a bug")
        return True

    def put_off(self, find: int) -> PutOff | None:
        return self.later


def sweep(world: World, numbers: Numbers, drawn: float = 0.0) -> int:
    host = SweepHost(one_after_the_other, world.clock, lambda: drawn, world.tally.update)
    return Sweeper({Sweep.JOBS: numbers}, host).sweep(Sweep.JOBS)


@pytest.mark.parametrize(
    ("count", "drawn", "first"), [(6, 0.0, 0), (6, 0.5, 3), (6, 0.99, 5), (2, 0.5, 1), (1, 0.99, 0)]
)
def test_of_overlapping_sweeps_each_begins_at_a_place_that_is_drawn_and_checks_all(
    world: World, count: int, drawn: float, first: int
) -> None:
    numbers = Numbers(range(count))
    assert sweep(world, numbers, drawn) == count
    assert numbers.checked == [*range(first, count), *range(first)]


def test_what_is_put_off_is_logged_with_the_time_until_which_it_is(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    later = PutOff(2, world.clock() + LEASE)
    assert sweep(world, Numbers([7], broken=[7], later=later)) == 0
    [logged] = map(vars, caplog.records)
    shown = {name: logged[name] for name in ("find", "times", "put_off_until")}
    assert shown == {"find": "7", "times": 2, "put_off_until": to_iso(later.until)}
