"""The state machine has no faults, and the lint that checks it finds each kind of fault."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from moto import mock_aws

from shiftwork_core.services.requests.dispatch import EXPRESS_TIMEOUT_S
from tests.asl_lint import every_state, lint, targets
from tests.template import load_template

ROOT = Path(__file__).resolve().parents[2]
MACHINES = sorted(path.name for path in (ROOT / "statemachines").glob("*.asl.yaml"))
Json = dict[str, Any]


def machine(name: str = "run_request.asl.yaml") -> Json:
    loaded: Json = yaml.safe_load((ROOT / "statemachines" / name).read_text())
    return loaded


def substitutions(name: str = "run_request.asl.yaml") -> set[str]:
    resources = load_template()["Resources"].values()
    [found] = [
        resource["Properties"]["DefinitionSubstitutions"]
        for resource in resources
        if resource["Type"] == "AWS::Serverless::StateMachine"
        and resource["Properties"]["DefinitionUri"] == f"statemachines/{name}"
    ]
    return set(found)


@pytest.mark.parametrize("name", MACHINES)
def test_machine_has_no_fault(name: str) -> None:
    assert lint(machine(name), substitutions(name)) == []


def test_round_costs_at_most_three_transitions() -> None:
    """The longest path from AdvanceRequest back to it, without the states inside the map."""
    states = machine()["States"]
    # A batch is tried alone only once batches have died; a failure ends the execution.
    apart = {"RecordFailure", "HoldBack"}

    def longest(name: str, seen: frozenset[str]) -> int:
        ways = [t for t in targets(states[name]) if t not in seen and t not in apart]
        return 1 + max((longest(way, seen | {way}) for way in ways), default=0)

    assert longest("AdvanceRequest", frozenset({"AdvanceRequest"})) == 3
    assert [*states["RunBatches"]["ItemProcessor"]["States"]] == ["RunJobs", "LeaveBatch"]
    assert states["RunBatches"]["ItemProcessor"]["States"]["RunJobs"]["End"] is True


def test_tasks_wait_longer_than_their_functions_run() -> None:
    resources = load_template()["Resources"]
    for name, state in every_state(machine()):
        if name == "RunOneOfMany":
            # An Express execution ends before the function would, so its jobs are the bound.
            assert EXPRESS_TIMEOUT_S < state["TimeoutSeconds"] < 300
        elif state["Type"] == "Task":
            function = state["Parameters"]["FunctionName"].removeprefix("${").removesuffix("Arn}")
            assert state["TimeoutSeconds"] > resources[function]["Properties"]["Timeout"], name


def test_every_error_that_ends_the_machine_is_recorded_first() -> None:
    for name, state in machine()["States"].items():
        # A batch that dies when it is tried alone is what AdvanceRequest wants to know.
        if state["Type"] == "Task" and name not in ("RecordFailure", "TryOneBatch"):
            assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
            assert state["Catch"][-1]["Next"] == "RecordFailure"


def _remove(*path: str) -> Callable[[Json], None]:
    def change(states: Json) -> None:
        for key in path[:-1]:
            states = states[key]
        del states[path[-1]]

    return change


def _set(value: object, *path: str) -> Callable[[Json], None]:
    def change(states: Json) -> None:
        for key in path[:-1]:
            states = states[key]
        states[path[-1]] = value

    return change


CHILDREN = ("RunBatches", "ItemProcessor", "States")

BROKEN: list[tuple[Callable[[Json], None], str]] = [
    (_set("Nowhere", "RecordFailure", "Next"), "leads to Nowhere"),
    (_set("Nowhere", "WhatNext?", "Default"), "leads to Nowhere"),
    (_set([{"ErrorEquals": ["States.ALL"], "Next": "Nowhere"}], "AwaitStep", "Catch"), "Nowhere"),
    (_set("AdvanceRequest", *CHILDREN, "LeaveBatch", "Next"), "LeaveBatch: wants either"),
    (_set({"Type": "Succeed"}, "Island"), "Island: cannot be reached"),
    (_set({"Type": "Succeed"}, *CHILDREN, "Island"), "Island: cannot be reached"),
    (_set({"Type": "Succeed"}, *CHILDREN, "RequestEnded"), "RequestEnded: two states"),
    (_set({"Type": "Parallel", "End": True}, "RequestEnded"), "Parallel is not a type"),
    (_remove("HoldBack", "SecondsPath"), "HoldBack: no SecondsPath"),
    (_remove("AdvanceRequest", "TimeoutSeconds"), "AdvanceRequest: no TimeoutSeconds"),
    (_remove("AdvanceRequest", "Retry"), "AdvanceRequest: no Retry"),
    (_remove("AdvanceRequest", "Next"), "AdvanceRequest: wants either Next or End"),
    (_remove(*CHILDREN, "RunJobs", "TimeoutSeconds"), "RunJobs: no TimeoutSeconds"),
    (_remove(*CHILDREN, "RunJobs", "Retry"), "RunJobs: no Retry"),
    (_set([{"ErrorEquals": ["States.ALL"]}], "AwaitStep", "Retry"), "a Retry without MaxAttempts"),
    (_set([{"ErrorEquals": ["States.ALL"]}], "AwaitStep", "Retry"), "without full jitter"),
    (
        _set(
            [
                {"ErrorEquals": ["States.ALL"], "Next": "RecordFailure"},
                {"ErrorEquals": ["States.Timeout"], "Next": "AdvanceRequest"},
            ],
            "AwaitStep",
            "Catch",
        ),
        "AwaitStep: Catch names errors after States.ALL",
    ),
    (
        _remove("RunBatches", "MaxConcurrencyPath"),
        "RunBatches: wants either MaxConcurrency or MaxConcurrencyPath",
    ),
    (
        _set(40, "RunManyBatches", "MaxConcurrency"),
        "RunManyBatches: wants either MaxConcurrency or MaxConcurrencyPath",
    ),
    (_remove("WhatNext?", "Default"), "WhatNext?: no Default"),
    (_remove("RequestFailed", "ErrorPath"), "RequestFailed: no Error"),
    (_remove("RequestAbandoned", "CausePath"), "RequestAbandoned: no Cause"),
    (_set("${OtherArn}", "RecordFailure", "Parameters", "FunctionName"), "does not provide it"),
]


@pytest.mark.parametrize(("change", "fault"), BROKEN, ids=[fault for _, fault in BROKEN])
def test_lint_finds_what_is_broken(change: Callable[[Json], None], fault: str) -> None:
    broken = copy.deepcopy(machine())
    change(broken["States"])
    assert fault in "\n".join(lint(broken, substitutions()))


def test_lint_finds_a_start_that_does_not_exist() -> None:
    assert "machine: leads to Nowhere, which does not exist" in lint(
        machine() | {"StartAt": "Nowhere"}, substitutions()
    )


def test_lint_finds_a_substitution_that_nothing_uses() -> None:
    assert lint(machine(), substitutions() | {"Spare"}) == ["${Spare}: nothing uses it"]


@pytest.fixture
def create(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Json], str]]:
    """Return a function that creates a machine in moto, with its parser on."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        client = boto3.client("stepfunctions", region_name="us-east-1")

        def call(definition: Json) -> str:
            arn = "arn:aws:lambda:us-east-1:123456789012:function:one"
            return client.create_state_machine(
                name="machine",
                definition=re.sub(r"\$\{\w+\}", arn, json.dumps(definition)),
                roleArn="arn:aws:iam::123456789012:role/machine",
            )["stateMachineArn"]

        yield call


@pytest.mark.parametrize("name", MACHINES)
def test_moto_accepts_the_machine(create: Callable[[Json], str], name: str) -> None:
    # Of the children's types moto's grammar knows only this one; AWS knows EXPRESS as well.
    definition = json.dumps(machine(name)).replace('"EXPRESS"', '"STANDARD"')
    assert create(json.loads(definition))


def test_moto_refuses_a_broken_machine(create: Callable[[Json], str]) -> None:
    broken = copy.deepcopy(machine())
    broken["States"]["AdvanceRequest"]["Unknown"] = 1
    with pytest.raises(ClientError, match="Unknown"):
        create(broken)
