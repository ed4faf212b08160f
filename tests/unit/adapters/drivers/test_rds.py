"""Driver `rds` against moto's RDS."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from shiftwork_core.adapters.drivers.rds import RdsDriver
from shiftwork_core.domain.workspaces.records import Operation, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError
from tests.unit.adapters.drivers.conftest import Account

START, STOP = Operation.START, Operation.STOP


@pytest.fixture
def driver(account: Account) -> RdsDriver:
    return RdsDriver(account.client("rds"))


def instances(*ids: str) -> dict[str, Any]:
    return {"type": "rds", "instances": list(ids)}


def clusters(*ids: str) -> dict[str, Any]:
    return {"type": "rds", "clusters": list(ids)}


def tagged(kind: str = "instance", **tags: str) -> dict[str, Any]:
    return {"type": "rds", "kind": kind, "tags": tags}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("available", WorkspaceState.RUNNING),
        ("stopped", WorkspaceState.STOPPED),
        ("starting", WorkspaceState.STARTING),
        ("creating", WorkspaceState.STARTING),
        ("stopping", WorkspaceState.STOPPING),
        ("backing-up", WorkspaceState.RUNNING),
        ("modifying", WorkspaceState.RUNNING),
        ("storage-full", WorkspaceState.UNKNOWN),
        ("what-is-this", WorkspaceState.UNKNOWN),
    ],
)
def test_a_databases_state(
    account: Account, driver: RdsDriver, status: str, state: WorkspaceState
) -> None:
    account.create_databases({"db": status})
    account.create_clusters({"cl": status})
    for spec, id in ((instances("db"), "db"), (clusters("cl"), "cl")):
        seen = driver.look(spec, {})
        assert (seen.state, seen.detail, seen.members) == (state, f"1 {status}", {id: state})


def test_each_instance_that_is_not_there_yet_is_switched(
    account: Account, driver: RdsDriver
) -> None:
    account.create_databases({"a": "available", "b": "stopped", "c": "available", "d": "stopping"})
    spec = instances("a", "b", "c", "d")
    assert driver.plan(spec, {}, STOP) == ["stop database instance a", "stop database instance c"]
    assert driver.switch(spec, {"x": 1}, STOP, "key") == {"x": 1}
    assert account.writes == [
        ("StopDBInstance", {"DBInstanceIdentifier": "a"}),
        ("StopDBInstance", {"DBInstanceIdentifier": "c"}),
    ]
    account.set_database("d", status="stopped")
    account.forget()
    driver.switch(spec, {}, START, "key")
    assert [name for name, _ in account.writes] == ["StartDBInstance"] * 4
    assert driver.look(spec, {}).state is WorkspaceState.RUNNING


def test_each_cluster_that_is_not_there_yet_is_switched(
    account: Account, driver: RdsDriver
) -> None:
    account.create_clusters({"a": "available", "b": "stopped"})
    spec = clusters("A", "b")
    assert driver.plan(spec, {}, STOP) == ["stop database cluster a"]
    driver.switch(spec, {}, STOP, "key")
    assert account.writes == [("StopDBCluster", {"DBClusterIdentifier": "a"})]
    account.forget()
    driver.switch(spec, {}, START, "key")
    assert [call["DBClusterIdentifier"] for _, call in account.writes] == ["a", "b"]
    assert [name for name, _ in account.writes] == ["StartDBCluster"] * 2


def test_tags_select_only_databases_that_have_them_all_and_are_not_being_deleted(
    account: Account, driver: RdsDriver
) -> None:
    account.create_databases({"a": "available", "b": "deleting"}, team="r", env="lab")
    account.create_databases({"c": "available"}, team="r")
    account.create_clusters({"d": "available"}, team="r", env="lab")
    assert list(driver.look(tagged(team="r", env="lab"), {}).members) == ["a"]
    assert list(driver.look(tagged("cluster", team="r", env="lab"), {}).members) == ["d"]


def test_an_instance_of_a_cluster_is_switched_by_its_cluster(
    account: Account, driver: RdsDriver
) -> None:
    account.create_databases({"a": "available", "b": "available"}, team="r")
    account.set_database("b", db_cluster_identifier="cl")
    assert list(driver.look(tagged(team="r"), {}).members) == ["a"]
    with pytest.raises(DriverError, match="it belongs to cluster cl; name the") as raised:
        driver.switch(instances("b"), {}, STOP, "key")
    assert raised.value.is_final
    assert account.writes == []


def test_an_instance_with_a_replica_cannot_be_stopped(account: Account, driver: RdsDriver) -> None:
    account.create_databases({"a": "available"})
    account.client("rds").create_db_instance_read_replica(
        DBInstanceIdentifier="copy", SourceDBInstanceIdentifier="a"
    )
    account.forget()
    with pytest.raises(DriverError, match=r"it has read replicas; take.*it is a read") as raised:
        driver.switch(instances("a", "copy"), {}, STOP, "key")
    assert raised.value.is_final
    assert account.writes == []


def test_databases_are_read_page_by_page(environment: None) -> None:
    client = Account().client("rds")
    with Stubber(client) as stub:
        for id, marker in (("a", "more"), ("b", None)):
            tags = [{"Key": "team", "Value": "r"}]
            database: Any = {"DBInstanceIdentifier": id, "TagList": tags}
            database["DBInstanceStatus"] = "available"
            answer: Any = {"DBInstances": [database]} | ({"Marker": marker} if marker else {})
            stub.add_response("describe_db_instances", answer)
        assert list(RdsDriver(client).look(tagged(team="r"), {}).members) == ["a", "b"]
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("operation", "status", "is_final", "told"),
    [
        (STOP, "backing-up", False, "stopped while it is backing-up; tried again later"),
        (STOP, "modifying", False, "stopped while it is modifying; tried again later"),
        (STOP, "starting", False, "stopped while it is starting; tried again later"),
        (START, "stopping", False, "started while it is stopping; tried again later"),
        (START, "what-is-this", False, "started while it is what-is-this; tried again later"),
        (STOP, "storage-full", True, "switched while it is storage-full; give it more storage"),
        (START, "storage-full", True, "switched while it is storage-full; give it more storage"),
        (
            START,
            "incompatible-network",
            True,
            "switched while it is incompatible-network; fix its",
        ),
    ],
)
def test_a_database_that_cannot_be_switched_does_not_hold_up_the_others(
    account: Account,
    driver: RdsDriver,
    operation: Operation,
    status: str,
    is_final: bool,
    told: str,
) -> None:
    other = "stopped" if operation is START else "available"
    account.create_databases({"a": status, "b": other})
    [line] = driver.plan(instances("a", "b"), {}, operation)
    assert line.startswith(f"{operation.value} database instance b; but a cannot be {told}")
    with pytest.raises(DriverError, match=f"^a cannot be {told}") as raised:
        driver.switch(instances("a", "b"), {}, operation, "key")
    assert raised.value.is_final is is_final
    assert [call["DBInstanceIdentifier"] for _, call in account.writes] == ["b"]


def test_a_busy_database_counts_as_running(account: Account, driver: RdsDriver) -> None:
    account.create_databases({"a": "backing-up"})
    assert driver.plan(instances("a"), {}, START) == []


@pytest.mark.parametrize("status", ["available", "deleting"])
def test_a_missing_target_is_a_final_error(
    account: Account, driver: RdsDriver, status: str
) -> None:
    account.create_databases({"a": status}, team="r")
    missing = "nope" if status == "available" else "a, nope"
    told = f"no database instance {missing}, or it is being deleted; correct the ids"
    with pytest.raises(DriverError, match=told) as raised:
        driver.look(instances("a", "nope"), {})
    assert raised.value.is_final
    with pytest.raises(DriverError, match="no database cluster has the tags team=r") as raised:
        driver.look(tagged("cluster", team="r"), {})
    assert raised.value.is_final


@pytest.mark.parametrize(
    ("code", "is_final"),
    [
        ("InvalidDBInstanceState", False),
        ("InsufficientDBInstanceCapacity", False),
        ("KMSKeyNotAccessibleFault", True),
        ("AccessDenied", True),
    ],
)
def test_a_refusal_by_rds_names_the_next_step(account: Account, code: str, is_final: bool) -> None:
    with Stubber(client := account.client("rds")) as stub:
        database = {"DBInstanceIdentifier": "a", "DBInstanceStatus": "stopped"}
        stub.add_response("describe_db_instances", {"DBInstances": [database]})
        stub.add_client_error("start_db_instance", code, "it is so", 400)
        with pytest.raises(DriverError, match="cannot start database instance a: it") as raised:
            RdsDriver(client).switch(instances("a"), {}, START, "key")
    assert raised.value.is_final is is_final
