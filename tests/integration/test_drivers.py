"""The drivers switch EC2, ECS and RDS behind the stack's endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from shiftwork_core import bootstrap
from shiftwork_core.adapters.drivers.request import RequestDriver
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.records import Operation, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError
from shiftwork_core.services.requests.submitter import Submitter
from tests.integration.lab import Lab, job, unique, until

START, STOP = Operation.START, Operation.STOP
READS = ("Describe", "List")

#: Creates two members with tags; returns their ids, and what removes them.
Create = Callable[[Lab, dict[str, str]], tuple[list[str], Callable[[], object]]]


def instances(lab: Lab, tags: dict[str, str]) -> tuple[list[str], Callable[[], object]]:
    client = lab.client("ec2")
    specification = {"ResourceType": "instance", "Tags": listed("Key", "Value", tags)}
    started = client.run_instances(
        ImageId="ami-12345678", MinCount=2, MaxCount=2, TagSpecifications=[specification]
    )
    ids = sorted(instance["InstanceId"] for instance in started["Instances"])
    return ids, lambda: client.terminate_instances(InstanceIds=ids)


CLUSTER = "tests-drivers"


def services(lab: Lab, tags: dict[str, str]) -> tuple[list[str], Callable[[], object]]:
    client = lab.client("ecs")
    client.create_cluster(clusterName=CLUSTER)
    container = {"name": "web", "image": "web", "memory": 128}
    client.register_task_definition(family=CLUSTER, containerDefinitions=[container])
    names = sorted(unique("web") for _ in range(2))
    for name in names:
        client.create_service(
            cluster=CLUSTER,
            serviceName=name,
            taskDefinition=CLUSTER,
            desiredCount=3,
            tags=listed("key", "value", tags),
        )

    def remove() -> None:
        for name in names:
            client.delete_service(cluster=CLUSTER, service=name, force=True)

    return names, remove


def databases(lab: Lab, tags: dict[str, str]) -> tuple[list[str], Callable[[], object]]:
    client = lab.client("rds")
    ids = sorted(unique("db") for _ in range(2))
    for id in ids:
        client.create_db_instance(
            DBInstanceIdentifier=id,
            DBInstanceClass="db.t3.micro",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="lab",
            MasterUserPassword="laboratory",
            Tags=listed("Key", "Value", tags),
        )

    def remove() -> None:
        for id in ids:
            client.delete_db_instance(DBInstanceIdentifier=id, SkipFinalSnapshot=True)

    return ids, remove


def clusters(lab: Lab, tags: dict[str, str]) -> tuple[list[str], Callable[[], object]]:
    client = lab.client("rds")
    ids = sorted(unique("cl") for _ in range(2))
    for id in ids:
        client.create_db_cluster(
            DBClusterIdentifier=id,
            Engine="aurora-postgresql",
            MasterUsername="lab",
            MasterUserPassword="laboratory",
            Tags=listed("Key", "Value", tags),
        )

    def remove() -> None:
        for id in ids:
            client.delete_db_cluster(DBClusterIdentifier=id, SkipFinalSnapshot=True)

    return ids, remove


def listed(key: str, value: str, tags: dict[str, str]) -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in tags.items()]


@pytest.fixture
def writes() -> Iterator[list[str]]:
    """The operations that the drivers call and that change something, in order."""
    made: list[str] = []

    def note(model: Any, **_: Any) -> None:
        if not model.name.startswith(READS):
            made.append(model.name)

    events = [bootstrap.world.client(service).meta.events for service in ("ec2", "ecs", "rds")]
    for each in events:
        each.register("before-call", note)
    yield made
    for each in events:
        each.unregister("before-call", note)


@pytest.mark.parametrize(
    ("kind", "create", "by_id", "more", "calls"),
    [
        ("ec2", instances, "instance_ids", {}, ["StopInstances", "StartInstances"]),
        ("ecs", services, "services", {"cluster": CLUSTER}, ["UpdateService", "UpdateService"]),
        ("rds", databases, "instances", {}, ["StopDBInstance", "StartDBInstance"]),
        ("rds", clusters, "clusters", {"kind": "cluster"}, ["StopDBCluster", "StartDBCluster"]),
    ],
    ids=["ec2", "ecs", "rds-instances", "rds-clusters"],
)
def test_a_group_is_stopped_and_started_again(
    lab: Lab,
    writes: list[str],
    kind: str,
    create: Create,
    by_id: str,
    more: JsonObject,
    calls: list[str],
) -> None:
    driver = bootstrap.workspaces.driver_for(kind)
    tags = {"team": unique("team"), "env": "lab"}
    members, remove = create(lab, tags)
    others, remove_others = create(lab, tags | {"env": "prod"})
    try:
        group = {"type": kind, "tags": tags} | more
        # Only the instances of one call fit into one.
        batches = 1 if kind == "ec2" else 2

        def is_now(state: WorkspaceState) -> None:
            seen = driver.look(group, {})
            assert seen.state is state
            assert seen.members == dict.fromkeys(members, state)
            named = {"type": kind, by_id: others} | more
            assert driver.look(named, {}).state is WorkspaceState.RUNNING

        is_now(WorkspaceState.RUNNING)
        memory = driver.remember(group, {}, STOP)
        assert len(driver.plan(group, memory, STOP)) == batches
        assert driver.plan(group, memory, START) == []
        assert writes == []
        is_now(WorkspaceState.RUNNING)

        memory = driver.switch(group, memory, STOP, "job-1")
        assert writes == calls[:1] * batches
        is_now(WorkspaceState.STOPPED)
        memory = driver.switch(group, driver.remember(group, memory, STOP), STOP, "job-1")
        assert writes == calls[:1] * batches
        writes.clear()

        # One of them alone, by its id; the group is then neither on nor off.
        driver.switch({"type": kind, by_id: members[:1]} | more, memory, START, "job-2")
        assert driver.look(group, memory).state is WorkspaceState.MIXED
        assert len(driver.plan(group, memory, START)) == 1
        driver.switch(group, memory, START, "job-3")
        assert writes == calls[1:] * 2
        is_now(WorkspaceState.RUNNING)
        driver.switch(group, memory, START, "job-3")
        assert writes == calls[1:] * 2
    finally:
        remove()
        remove_others()

    with pytest.raises(DriverError, match="has the tags") as raised:
        driver.look(group, {})
    assert raised.value.is_final


def test_a_restarted_service_has_as_many_tasks_as_before(lab: Lab) -> None:
    [name, *_], remove = services(lab, {})
    try:
        driver, spec = (
            bootstrap.workspaces.driver_for("ecs"),
            {"cluster": CLUSTER, "services": [name]},
        )
        memory = driver.switch(spec, driver.remember(spec, {}, STOP), STOP, "job-1")
        driver.switch(spec, memory, START, "job-2")
        found = lab.client("ecs").describe_services(cluster=CLUSTER, services=[name])
        assert found["services"][0]["desiredCount"] == 3
    finally:
        remove()


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("ec2", {"instance_ids": ["i-0123456789abcdef0"]}),
        ("ecs", {"cluster": CLUSTER, "services": ["nope"]}),
        ("ecs", {"cluster": "nope", "services": ["nope"]}),
        ("ecs", {"cluster": "nope", "tags": {"team": "nope"}}),
        ("rds", {"instances": ["nope"]}),
        ("rds", {"clusters": ["nope"]}),
    ],
)
def test_a_missing_resource_is_a_final_error(lab: Lab, kind: str, spec: JsonObject) -> None:
    with pytest.raises(DriverError, match=r"; (correct|tag) ") as raised:
        bootstrap.workspaces.driver_for(kind).look(spec, {})
    assert raised.value.is_final


def test_a_workspace_is_switched_by_requests_of_the_stack(lab: Lab) -> None:
    driver = RequestDriver(Submitter(lab.service()))
    echo = {"type": lab.define([job("j", "echo")]), "params": {"size": 2}}
    spec = {"type": "request", "start": echo, "stop": echo}

    def has_reached(memory: JsonObject, operation: Operation) -> bool:
        return driver.look(spec, memory).state is operation.goal

    memory: JsonObject = {}
    for operation in (START, STOP):
        key = unique("job")
        submitted = driver.switch(spec, memory, operation, key)
        assert driver.switch(spec, memory, operation, key) == submitted
        memory = submitted
        until(
            partial(has_reached, memory, operation),
            f"request {memory['request_id']} has completed",
        )
        assert driver.plan(spec, memory, operation) == []
