"""Driver `ecs` against moto's ECS."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from shiftwork_core.adapters.drivers.ecs import EcsDriver
from shiftwork_core.domain.workspaces.records import Operation, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError
from tests.unit.adapters.drivers.conftest import Account

START, STOP = Operation.START, Operation.STOP


@pytest.fixture
def driver(account: Account) -> EcsDriver:
    return EcsDriver(account.client("ecs"))


def named(*services: str, **more: Any) -> dict[str, Any]:
    return {"type": "ecs", "cluster": "lab", "services": list(services)} | more


def tagged(**tags: str) -> dict[str, Any]:
    return {"type": "ecs", "cluster": "lab", "tags": tags}


def counts_set(account: Account) -> dict[str, int]:
    assert {operation for operation, _ in account.writes} <= {"UpdateService"}
    return {call["service"]: call["desiredCount"] for _, call in account.writes}


@pytest.mark.parametrize(
    ("desired", "running", "state", "detail"),
    [
        (2, 2, WorkspaceState.RUNNING, "1 with 2 of 2 tasks"),
        (2, 3, WorkspaceState.RUNNING, "1 with 3 of 2 tasks"),
        (2, 1, WorkspaceState.STARTING, "1 with 1 of 2 tasks"),
        (2, 0, WorkspaceState.STARTING, "1 with 0 of 2 tasks"),
        (0, 1, WorkspaceState.STOPPING, "1 with 1 tasks to stop"),
        (0, 0, WorkspaceState.STOPPED, "1 stopped"),
    ],
)
def test_a_services_state(
    account: Account,
    driver: EcsDriver,
    desired: int,
    running: int,
    state: WorkspaceState,
    detail: str,
) -> None:
    account.create_services({"web": (desired, running)})
    seen = driver.look(named("web"), {})
    assert (seen.state, seen.detail, seen.members) == (state, detail, {"web": state})


def test_a_stop_remembers_the_counts_and_a_start_restores_them(
    account: Account, driver: EcsDriver
) -> None:
    account.create_services({"web": (3, 3), "api": (2, 1)})
    spec = named("web", "api")
    memory = driver.remember(spec, {"x": 1}, STOP)
    assert memory == {"x": 1, "desired": {"web": 3, "api": 2}}
    assert driver.plan(spec, memory, STOP) == [
        "set service api from 2 to 0 tasks",
        "set service web from 3 to 0 tasks",
    ]
    assert driver.switch(spec, memory, STOP, "key") == memory
    assert counts_set(account) == {"web": 0, "api": 0}

    account.forget()
    assert driver.remember(spec, memory, START) == memory
    assert driver.switch(spec, memory, START, "key") == memory
    assert counts_set(account) == {"web": 3, "api": 2}


def test_a_stopped_service_keeps_its_remembered_count(account: Account, driver: EcsDriver) -> None:
    account.create_services({"web": (0, 0), "api": (5, 5)})
    spec = named("web", "api")
    memory = {"desired": {"web": 3, "api": 2, "gone": 7}}
    expected = {"desired": {"web": 3, "api": 5, "gone": 7}}
    assert driver.remember(spec, memory, STOP) == expected
    assert driver.switch(spec, memory, STOP, "key") == expected
    assert driver.remember(spec, expected, STOP) == expected
    assert driver.switch(spec, expected, STOP, "key") == expected


def test_a_service_without_a_remembered_count_gets_the_default(
    account: Account, driver: EcsDriver
) -> None:
    account.create_services({"web": (0, 0), "api": (0, 0)})
    driver.switch(named("web", "api", desired_count=4), {"desired": {"api": 2}}, START, "key")
    assert counts_set(account) == {"web": 4, "api": 2}
    account.create_services({"job": (0, 0)})
    driver.switch(named("job"), {}, START, "key")
    assert counts_set(account) == {"job": 1}


def test_a_service_on_its_way_is_left_alone_and_can_be_turned_round(
    account: Account, driver: EcsDriver
) -> None:
    account.create_services({"rising": (2, 0), "falling": (0, 2)})
    spec = named("rising", "falling")
    driver.switch(spec, {}, START, "key")
    assert counts_set(account) == {"falling": 1}
    account.forget()
    account.set_service("falling", desired_count=0, running_count=2)
    driver.switch(spec, {}, STOP, "key")
    assert counts_set(account) == {"rising": 0}


def test_tags_select_only_services_that_have_them_all_and_still_exist(
    account: Account, driver: EcsDriver
) -> None:
    account.create_services({"web": (1, 1), "old": (1, 1)}, team="r", env="lab")
    account.create_services({"other": (1, 1)}, team="r")
    account.set_service("old", status="INACTIVE")
    spec = tagged(team="r", env="lab")
    assert list(driver.look(spec, {}).members) == ["web"]
    driver.switch(spec, {}, STOP, "key")
    assert counts_set(account) == {"web": 0}


def test_services_are_described_ten_at_a_time(account: Account, driver: EcsDriver) -> None:
    account.create_services({f"s{n:02}": (1, 1) for n in range(21)}, team="r")
    assert len(driver.look(tagged(team="r"), {}).members) == 21
    looks = [call["services"] for name, call in account.calls if name == "DescribeServices"]
    assert [len(services) for services in looks] == [10, 10, 1]


def test_a_cluster_is_listed_page_by_page(environment: None) -> None:
    client = Account().client("ecs")
    with Stubber(client) as stub:
        stub.add_response("list_services", {"serviceArns": ["arn/a"], "nextToken": "more"})
        stub.add_response("list_services", {"serviceArns": ["arn/b"]})
        service = {"status": "ACTIVE", "desiredCount": 1, "runningCount": 1}
        tags = [{"key": "team", "value": "r"}]
        described = [{"serviceName": name, "tags": tags, **service} for name in "ab"]
        stub.add_response(
            "describe_services",
            {"services": described, "failures": []},
            {"cluster": "lab", "services": ["arn/a", "arn/b"], "include": ANY},
        )
        assert list(EcsDriver(client).look(tagged(team="r"), {}).members) == ["a", "b"]


@pytest.mark.parametrize("status", ["INACTIVE", "DRAINING"])
def test_a_named_service_that_was_deleted_is_a_final_error(
    account: Account, driver: EcsDriver, status: str
) -> None:
    account.create_services({"web": (1, 1)})
    account.set_service("web", status=status)
    with pytest.raises(DriverError, match=f"service web .* is {status.lower()}; cor") as raised:
        driver.switch(named("web"), {}, STOP, "key")
    assert raised.value.is_final


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (named("web", "nope", "never"), "cluster lab has no service nope, never; correct"),
        (named("web") | {"cluster": "other"}, "Cluster not found.*correct the workspace's cl"),
        (tagged(team="x"), "no service of cluster lab has the tags team=x; tag some"),
    ],
)
def test_a_missing_target_is_a_final_error(
    account: Account, driver: EcsDriver, spec: dict[str, Any], told: str
) -> None:
    account.create_services({"web": (1, 1)}, team="r")
    with pytest.raises(DriverError, match=told) as raised:
        driver.look(spec, {})
    assert raised.value.is_final


def test_a_daemon_is_refused_and_the_other_services_are_switched(
    account: Account, driver: EcsDriver
) -> None:
    account.create_services({"web": (1, 1), "agent": (1, 1)})
    account.set_service("agent", scheduling_strategy="DAEMON")
    with pytest.raises(DriverError, match="service agent is a daemon") as raised:
        driver.switch(named("web", "agent"), {}, STOP, "key")
    assert raised.value.is_final
    assert counts_set(account) == {"web": 0}
