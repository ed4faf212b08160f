"""What linters don't ask of the template: our own rules, and that it agrees with the code."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.template import ROOT, load_template, resources

FUNCTIONS = resources("AWS::Serverless::Function")

#: Statements that may name every resource, because AWS knows none for their actions.
WITHOUT_RESOURCE = {"DeliverLogs"}
#: A wildcard may stand for what is inside one thing: a bucket's objects, a machine's executions.
INSIDE = re.compile(
    r"\$\{BlobsBucket\.Arn\}(/requests)?/\*|:execution:\S+-run-request(/RunMany(Slow)?Batches)?:\*"
)


def statements() -> Iterator[dict[str, Any]]:
    """Yield every policy statement that the template writes out."""
    for entry in load_template()["Resources"].values():
        properties = entry.get("Properties", {})
        if entry["Type"] == "AWS::IAM::ManagedPolicy":
            yield from properties["PolicyDocument"]["Statement"]
        for policy in properties.get("Policies", []):
            if "Fn::If" in policy:
                policy = policy["Fn::If"][1]
            if "Statement" in policy:
                yield from policy["Statement"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    return value["Fn::Sub"] if isinstance(value, dict) and "Fn::Sub" in value else json.dumps(value)


def test_no_policy_allows_more_than_it_names() -> None:
    assert len([*statements()]) > 10
    for statement in statements():
        sid = statement["Sid"]
        for action in listed(statement["Action"]):
            assert "*" not in action, f"{sid}: {action}"
        if sid in WITHOUT_RESOURCE:
            continue
        for resource in map(text, listed(statement["Resource"])):
            assert "*" not in INSIDE.sub("", resource), f"{sid}: {resource}"


def test_no_policy_template_brings_a_wildcard_along() -> None:
    """SAM's own for Lambda, DynamoDB, SQS and S3 name more than one thing."""
    allowed = {"StepFunctionsExecutionPolicy", "AWSSecretsManagerGetSecretValuePolicy"}
    for name, entry in FUNCTIONS.items():
        for policy in entry["Properties"]["Policies"]:
            [kind] = policy
            assert kind in allowed | {"Ref", "Statement", "Fn::If"}, f"{name}: {kind}"


def test_every_folder_of_functions_is_deployed() -> None:
    folders = {f"functions/{path.parent.name}" for path in (ROOT / "functions").glob("*/app.py")}
    assert {entry["Properties"]["CodeUri"] for entry in FUNCTIONS.values()} == folders


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_name_comes_from_its_folder(name: str) -> None:
    properties = FUNCTIONS[name]["Properties"]
    folder = properties["CodeUri"].removeprefix("functions/")
    assert name == "".join(part.title() for part in folder.split("_")) + "Function"
    assert properties["FunctionName"] == {
        "Fn::Sub": "${AWS::StackName}-" + folder.replace("_", "-")
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_logs_to_its_own_group(name: str) -> None:
    properties = FUNCTIONS[name]["Properties"]
    group = resources("AWS::Logs::LogGroup")[properties["LoggingConfig"]["LogGroup"]["Ref"]]
    function = properties["FunctionName"]["Fn::Sub"]
    assert group["Properties"]["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/{function}"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_only_the_api_carries_validation(name: str) -> None:
    layers = {layer["Ref"] for layer in FUNCTIONS[name]["Properties"]["Layers"]}
    edge = {"EdgeLayer"} if name == "ApiFunction" else set()
    assert layers == {"CoreLayer", "DependenciesLayer"} | edge


def test_every_log_is_forgotten_in_the_end() -> None:
    for entry in resources("AWS::Logs::LogGroup").values():
        assert entry["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_what_holds_data_outlives_the_stack() -> None:
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket"):
        for entry in resources(kind).values():
            assert entry["DeletionPolicy"] == entry["UpdateReplacePolicy"] == "Retain"


def test_tables_cost_what_is_used_and_can_be_restored() -> None:
    for entry in resources("AWS::DynamoDB::Table").values():
        properties = entry["Properties"]
        assert properties["BillingMode"] == "PAY_PER_REQUEST"
        assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_every_queue_has_a_dead_letter_queue_and_reports_single_failures() -> None:
    queues = resources("AWS::SQS::Queue")
    dead = {
        entry["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"].split(".")[0]
        for entry in queues.values()
        if "RedrivePolicy" in entry["Properties"]
    }
    read = set()
    for entry in FUNCTIONS.values():
        for event in entry["Properties"].get("Events", {}).values():
            if event["Type"] == "SQS":
                assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
                queue = event["Properties"]["Queue"]["Fn::GetAtt"].split(".")[0]
                read.add(queue)
                visible_s = queues[queue]["Properties"]["VisibilityTimeout"]
                assert visible_s >= 6 * entry["Properties"]["Timeout"]
    assert read | dead == set(queues)
    assert not read & dead


def test_sweeps_run_as_often_as_in_the_original() -> None:
    parameters = load_template()["Parameters"]
    defaults = {name: parameters[name]["Default"] for name in parameters if "Sweep" in name}
    assert defaults == {
        "JobsSweepSchedule": "rate(15 minutes)",
        "NewRequestsSweepSchedule": "rate(5 minutes)",
        "InprogressRequestsSweepSchedule": "rate(1 minute)",
    }
    events = FUNCTIONS["SweepFunction"]["Properties"]["Events"]
    sweeps = {
        json.loads(event["Properties"]["Input"])["sweep"]: event["Properties"]["ScheduleExpression"]
        for event in events.values()
    }
    assert sweeps == {
        "jobs": {"Ref": "JobsSweepSchedule"},
        "new-requests": {"Ref": "NewRequestsSweepSchedule"},
        "inprogress-requests": {"Ref": "InprogressRequestsSweepSchedule"},
    }


def test_disabled_workers_start_nothing() -> None:
    for entry in FUNCTIONS.values():
        for event in entry["Properties"].get("Events", {}).values():
            field = "Enabled" if event["Type"] == "SQS" else "State"
            assert event["Properties"][field]["Fn::If"][0] == "AreWorkersEnabled"


def test_functions_read_no_variable_that_the_template_does_not_set() -> None:
    read = set()
    for folder in ("functions", "layers/core/shiftwork_core"):
        for path in (ROOT / folder).rglob("*.py"):
            read |= set(re.findall(r"""(?:environ\[|\bget\()"([A-Z][A-Z_]+)\"""", path.read_text()))
    set_by_us = set(load_template()["Globals"]["Function"]["Environment"]["Variables"])
    for entry in FUNCTIONS.values():
        set_by_us |= set(entry["Properties"].get("Environment", {}).get("Variables", {}))
    assert "REQUESTS_TABLE" in read
    assert {name for name in read if not name.startswith("AWS_")} <= set_by_us


def test_layers_and_functions_share_runtime_and_processor() -> None:
    function = load_template()["Globals"]["Function"]
    parameters = load_template()["Parameters"]
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    assert function["Runtime"] == {"Ref": "PythonRuntime"}
    assert parameters["Architecture"]["Default"] == "arm64"
    for name, entry in resources("AWS::Serverless::LayerVersion").items():
        properties = entry["Properties"]
        assert properties["CompatibleArchitectures"] == [{"Ref": "Architecture"}]
        assert entry["Metadata"]["BuildArchitecture"] == {"Ref": "Architecture"}
        makefile = (ROOT / properties["ContentUri"] / "Makefile").read_text()
        assert f"LAYER_PYTHON ?= {parameters['PythonRuntime']['Default'][6:]}\n" in makefile, name


def test_every_route_but_the_heartbeat_wants_a_token() -> None:
    routes = resources("AWS::ApiGatewayV2::Route").values()
    auth = {
        entry["Properties"]["RouteKey"]: entry["Properties"]["AuthorizationType"]
        for entry in routes
    }
    assert auth == {"ANY /{proxy+}": "CUSTOM", "GET /heartbeat": "NONE"}


@pytest.mark.parametrize("environment", ["local", "dev", "prod"])
def test_every_environment_has_a_stack_of_its_own(environment: str) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    parameters = config[environment]["deploy"]["parameters"]
    assert parameters["stack_name"] == f"shiftwork-{environment}"
    if environment != "local":
        assert f"Stage={environment}" in parameters["parameter_overrides"].split()
