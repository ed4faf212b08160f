"""A plan names exactly the calls that are then made, whatever the members' states."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

import pytest

from shiftwork_core.adapters.drivers.ec2 import Ec2Driver
from shiftwork_core.adapters.drivers.ecs import EcsDriver
from shiftwork_core.adapters.drivers.groups import SETTLED
from shiftwork_core.adapters.drivers.rds import RdsDriver
from shiftwork_core.domain.workspaces.records import Operation
from shiftwork_core.ports.workspaces import Driver, DriverError
from tests.unit.adapters.drivers.conftest import Account

INSTANCES = ["pending", "running", "stopping", "stopped", "shutting-down"]
SERVICES = [(0, 0), (0, 2), (2, 0), (2, 2)]
DATABASES = ["available", "stopped", "starting", "stopping", "backing-up", "storage-full", "?"]

#: A driver, the spec of a workspace of two members, and what sets the states of the two.
Arranged = tuple[Driver, dict[str, Any], Callable[[Any, Any], None]]


def ec2(account: Account) -> Arranged:
    ids = account.run_instances("running", "running", team="r")

    def arrange(*statuses: str) -> None:
        for id, status in zip(ids, statuses, strict=True):
            account.set_instance(id, status)

    return Ec2Driver(account.client("ec2")), {"tags": {"team": "r"}}, arrange


def ecs(account: Account) -> Arranged:
    account.create_services({"a": (1, 1), "b": (1, 1)})

    def arrange(*counts: tuple[int, int]) -> None:
        for name, (desired, running) in zip("ab", counts, strict=True):
            account.set_service(name, desired_count=desired, running_count=running)

    spec = {"cluster": "lab", "services": ["a", "b"]}
    return EcsDriver(account.client("ecs")), spec, arrange


def rds(account: Account) -> Arranged:
    account.create_databases({"a": "available", "b": "available"})

    def arrange(*statuses: str) -> None:
        for id, status in zip("ab", statuses, strict=True):
            account.set_database(id, status=status)

    return RdsDriver(account.client("rds")), {"instances": ["a", "b"]}, arrange


def outcome(use: Callable[[], Any]) -> tuple[Any, str]:
    """Return what a call returns, and what it refuses."""
    try:
        return use(), ""
    except DriverError as error:
        return None, str(error)


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize(("kind", "states"), [(ec2, INSTANCES), (ecs, SERVICES), (rds, DATABASES)])
def test_a_plan_is_what_is_done(
    account: Account,
    kind: Callable[[Account], Arranged],
    states: list[Any],
    operation: Operation,
) -> None:
    driver, spec, arrange = kind(account)
    for pair in combinations_with_replacement(states, 2):
        arrange(*pair)
        account.forget()
        seen, _ = outcome(lambda: driver.look(spec, {}).state)
        plan, refused = outcome(lambda: driver.plan(spec, {}, operation))
        assert account.writes == [], pair
        assert (plan == []) is (seen in SETTLED[operation]), pair

        _, failed = outcome(lambda: driver.switch(spec, {}, operation, "key"))
        assert bool(account.writes) == bool(plan), pair
        if not plan:
            assert failed == refused, pair
        elif failed:
            assert plan[-1].endswith(f"; but {failed}"), pair

        account.forget()
        again, _ = outcome(lambda: driver.plan(spec, {}, operation))
        outcome(lambda: driver.switch(spec, {}, operation, "key"))
        assert not again and account.writes == [], f"{pair}: asked for twice"
