"""Driver `ec2` against moto's EC2."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from shiftwork_core.adapters.drivers import ec2
from shiftwork_core.adapters.drivers.ec2 import Ec2Driver
from shiftwork_core.domain.workspaces.records import Operation, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError
from tests.unit.adapters.drivers.conftest import Account

START, STOP = Operation.START, Operation.STOP


@pytest.fixture
def driver(account: Account) -> Ec2Driver:
    return Ec2Driver(account.client("ec2"))


def by_id(*ids: str) -> dict[str, Any]:
    return {"type": "ec2", "instance_ids": list(ids)}


def by_tags(**tags: str) -> dict[str, Any]:
    return {"type": "ec2", "tags": tags}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", WorkspaceState.STARTING),
        ("running", WorkspaceState.RUNNING),
        ("stopping", WorkspaceState.STOPPING),
        ("stopped", WorkspaceState.STOPPED),
    ],
)
def test_an_instances_state(
    account: Account, driver: Ec2Driver, status: str, state: WorkspaceState
) -> None:
    [id] = account.run_instances(status)
    seen = driver.look(by_id(id), {})
    assert (seen.state, seen.detail, seen.members) == (state, f"1 {status}", {id: state})


@pytest.mark.parametrize(
    ("code", "message", "fault"),
    [
        (
            "Server.InsufficientInstanceCapacity",
            "There was no capacity",
            "Server.InsufficientInstanceCapacity: There was no capacity",
        ),
        (
            "Client.InvalidKMSKey.InvalidState",
            "Client.InvalidKMSKey.InvalidState: The key is disabled",
            "Client.InvalidKMSKey.InvalidState: The key is disabled",
        ),
        (
            "Client.InternalError",
            "Client.InternalError: Client error on launch",
            "Client.InternalError: Client error on launch (if a volume has a key of yours,"
            " put its ARN into the parameter VolumeKeyArns)",
        ),
        ("Client.UserInitiatedShutdown", "User initiated", ""),
        ("Client.InstanceInitiatedShutdown", "shut down from within", ""),
        ("", "", ""),
    ],
)
def test_an_instance_that_fell_back_to_stopped_says_why(
    account: Account, driver: Ec2Driver, code: str, message: str, fault: str
) -> None:
    running, stopped = account.run_instances("running", "stopped")
    account.set_instance(stopped, "stopped", (code, message))
    seen = driver.look(by_id(running, stopped), {})
    assert seen.fault == (f"{stopped} stopped: {fault}" if fault else "")
    assert seen.detail.partition("; ")[2] == seen.fault


def test_the_reason_of_an_earlier_stop_is_no_fault_of_an_instance_that_runs(
    account: Account, driver: Ec2Driver
) -> None:
    [id] = account.run_instances("running")
    account.set_instance(id, "running", ("Server.InsufficientInstanceCapacity", "none"))
    assert driver.look(by_id(id), {}).fault == ""


def test_all_stopped_instances_are_started_in_one_call(account: Account, driver: Ec2Driver) -> None:
    ids = account.run_instances("stopped", "running", "stopped", "pending")
    asked = sorted([ids[0], ids[2]])
    assert driver.plan(by_id(*ids), {}, START) == [f"start instances {', '.join(asked)}"]
    assert driver.switch(by_id(*ids), {"x": 1}, START, "key") == {"x": 1}
    assert account.writes == [("StartInstances", {"InstanceIds": asked})]


def test_more_than_a_batch_is_stopped_in_several_calls(
    account: Account, driver: Ec2Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ec2, "_BATCH", 3)
    ids = sorted(account.run_instances(*["running"] * 7))
    driver.switch(by_id(*ids), {}, STOP, "key")
    assert [call[1]["InstanceIds"] for call in account.writes] == [ids[:3], ids[3:6], ids[6:]]
    assert driver.look(by_id(*ids), {}).state is WorkspaceState.STOPPED
    assert driver.plan(by_id(*ids), {}, STOP) == []


def test_tags_select_only_instances_that_have_them_all_and_still_exist(
    account: Account, driver: Ec2Driver
) -> None:
    ids = account.run_instances("running", "terminated", "shutting-down", team="r", env="lab")
    account.run_instances("running", team="r")
    account.run_instances("running", team="r", env="prod")
    assert list(driver.look(by_tags(team="r", env="lab"), {}).members) == ids[:1]


def test_a_star_in_a_tag_matches_only_a_star(account: Account, driver: Ec2Driver) -> None:
    [id] = account.run_instances("running", team="*")
    account.run_instances("running", team="research")
    driver.switch(by_tags(team="*"), {}, STOP, "key")
    assert account.writes == [("StopInstances", {"InstanceIds": [id]})]


def test_a_group_is_read_page_by_page(environment: None) -> None:
    client = Account().client("ec2")
    with Stubber(client) as stub:
        for id, token in (("i-1", "more"), ("i-2", None)):
            tags = [{"Key": "team", "Value": "r"}]
            instance = {"InstanceId": id, "State": {"Name": "running"}, "Tags": tags}
            answer: Any = {"Reservations": [{"Instances": [instance]}]}
            stub.add_response(
                "describe_instances", answer | ({"NextToken": token} if token else {})
            )
        assert list(Ec2Driver(client).look(by_tags(team="r"), {}).members) == ["i-1", "i-2"]
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("status", "told"),
    [("terminated", "is terminated"), ("shutting-down", "is being terminated")],
)
def test_a_named_instance_that_was_terminated_is_a_final_error(
    account: Account, driver: Ec2Driver, status: str, told: str
) -> None:
    ids = account.run_instances("running", status)
    for use in (
        lambda: driver.look(by_id(*ids), {}),
        lambda: driver.plan(by_id(*ids), {}, STOP),
        lambda: driver.switch(by_id(*ids), {}, STOP, "key"),
    ):
        with pytest.raises(DriverError, match=f"instance {ids[1]} {told}; correct") as raised:
            use()
        assert raised.value.is_final
    assert account.writes == []


@pytest.mark.parametrize("id", ["i-0123456789abcdef0", "web-1"])
def test_a_named_instance_that_never_existed_is_a_final_error(
    account: Account, driver: Ec2Driver, id: str
) -> None:
    with pytest.raises(DriverError, match=f"{id}.*correct the workspace's inst") as raised:
        driver.look(by_id(id), {})
    assert raised.value.is_final


def test_tags_that_select_nothing_are_a_final_error(account: Account, driver: Ec2Driver) -> None:
    account.run_instances("terminated", team="r", env="lab")
    expected = "no instance has the tags team=r and env=lab; tag some"
    with pytest.raises(DriverError, match=expected) as raised:
        driver.look(by_tags(team="r", env="lab"), {})
    assert raised.value.is_final


@pytest.mark.parametrize(
    ("operation", "status", "told"),
    [(START, "stopping", "started while it is stopping"), (STOP, "pending", "stopped while it is")],
)
def test_an_instance_in_between_is_retried_later_and_the_others_are_switched_now(
    account: Account, driver: Ec2Driver, operation: Operation, status: str, told: str
) -> None:
    ids = account.run_instances("stopped" if operation is START else "running", status)
    [line] = driver.plan(by_id(*ids), {}, operation)
    assert line.startswith(f"{operation.value} instances {ids[0]}; but {ids[1]} cannot be {told}")
    with pytest.raises(DriverError, match=f"{ids[1]} cannot be {told}") as raised:
        driver.switch(by_id(*ids), {}, operation, "key")
    assert not raised.value.is_final
    assert [call[1]["InstanceIds"] for call in account.writes] == [ids[:1]]


def test_an_instance_of_an_auto_scaling_group_is_not_stopped(
    account: Account, driver: Ec2Driver
) -> None:
    tags = {"team": "r", "aws:autoscaling:groupName": "web"}
    with Stubber(client := account.client("ec2")) as stub:
        instance = {
            "InstanceId": "i-1",
            "State": {"Name": "running"},
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        stub.add_response("describe_instances", {"Reservations": [{"Instances": [instance]}]})
        with pytest.raises(DriverError, match="of Auto Scaling group web, which would") as raised:
            Ec2Driver(client).switch(by_tags(team="r"), {}, STOP, "key")
    assert raised.value.is_final


@pytest.mark.parametrize(
    ("code", "is_final"),
    [
        ("IncorrectInstanceState", False),
        ("InsufficientInstanceCapacity", False),
        ("OperationNotPermitted", True),
        ("UnsupportedOperation", True),
        ("UnauthorizedOperation", True),
    ],
)
def test_a_refusal_by_ec2_names_the_next_step(account: Account, code: str, is_final: bool) -> None:
    with Stubber(client := account.client("ec2")) as stub:
        instance = {"InstanceId": "i-1", "State": {"Name": "running"}}
        stub.add_response("describe_instances", {"Reservations": [{"Instances": [instance]}]})
        stub.add_client_error("stop_instances", code, "it is so", 400)
        with pytest.raises(DriverError, match="cannot stop instances i-1: it is so") as raised:
            Ec2Driver(client).switch(by_id("i-1"), {}, STOP, "key")
    assert raised.value.is_final is is_final
