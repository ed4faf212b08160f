"""Check the template where no linter does: against our own rules, and against the code."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest

from shiftwork_core.domain.requests.blob_lifetimes import GRACE, LIFETIMES_DAYS
from shiftwork_core.domain.requests.outcomes import MAX_DELAY_S
from shiftwork_core.routes import TASK_ROUTES
from tests.template import ROOT, choices, listed, load_template, resources, statements_of

FUNCTIONS = resources("AWS::Serverless::Function")

#: Statements that may name every resource, because AWS defines no resource for their actions.
WITHOUT_RESOURCE = {"DeliverLogs", "EndWaits", "SeeInstances", "ListServices"}
#: People define workspaces after deployment, so these may name any resource of account and region.
IN_THE_ACCOUNT = {"SeeServices", "SeeDatabases", "SwitchInstances", "SwitchServices"} | {
    "SwitchDatabases"
}
#: A wildcard may stand for the contents of one thing: a bucket's objects, a machine's executions.
INSIDE = re.compile(
    r"\$\{BlobsBucket\.Arn\}(/requests|/manifests)?/\*"
    r"|:execution:\S+-run-request(/RunMany(Slow)?Batches)?:\*"
)

OF_THE_ACCOUNT = re.compile(r"(?<=:\$\{AWS::Region\}:\$\{AWS::AccountId\}:)\w+[/:]\*$")


def statements() -> Iterator[dict[str, Any]]:
    """Yield every statement that is written out in the template, and allows something."""
    among = load_template()["Resources"]
    for entry in among.values():
        properties = entry.get("Properties", {})
        written = [properties.get("PolicyDocument", {}), *properties.get("Policies", [])]
        # The managed policies are resources of their own.
        inline = [policy for policy in written if "Ref" not in policy]
        found = statements_of(inline, among)
        yield from (statement for statement in found if statement["Effect"] == "Allow")


def text(value: Any) -> str:
    return value["Fn::Sub"] if isinstance(value, dict) and "Fn::Sub" in value else json.dumps(value)


def test_no_policy_uses_a_wildcard_beyond_the_allowed_ones() -> None:
    assert len([*statements()]) > 10
    for statement in statements():
        sid = statement["Sid"]
        for action in listed(statement["Action"]):
            assert "*" not in action, f"{sid}: {action}"
        if sid in WITHOUT_RESOURCE:
            continue
        for resource in map(text, listed(statement["Resource"])):
            inside = OF_THE_ACCOUNT if sid in IN_THE_ACCOUNT else INSIDE
            assert "*" not in inside.sub("", resource), f"{sid}: {resource}"


def test_a_tag_can_limit_what_is_switched() -> None:
    for statement in statements():
        if statement["Sid"].startswith("Switch"):
            condition, only, _ = statement["Condition"]["Fn::If"]
            assert condition == "SwitchesOnlyTagged"
            assert only == {"StringEquals": {"aws:ResourceTag/shiftwork": {"Ref": "Stage"}}}


def test_manifests_are_read_only_where_a_deployment_says() -> None:
    own, named = (one for one in statements() if one["Sid"] in ("OwnManifests", "Manifests"))
    assert own["Resource"] == {"Fn::Sub": "${BlobsBucket.Arn}/manifests/*"}
    assert named["Resource"] == {"Ref": "ManifestArns"}
    assert own["Action"] == named["Action"] == "s3:GetObject"


def test_only_ec2_gets_grants_of_keys_and_only_of_those_that_a_deployment_names() -> None:
    [statement] = [one for one in statements() if "kms:CreateGrant" in listed(one["Action"])]
    assert statement["Resource"] == {"Ref": "VolumeKeyArns"}
    assert statement["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    assert load_template()["Parameters"]["VolumeKeyArns"]["Default"] == ""


def test_only_actions_without_resources_are_allowed_on_all_resources() -> None:
    """On AWS, a policy that names a resource for such an action allows nothing."""
    known = json.loads((files("cfnlint.data.AdditionalSpecs") / "Policies.json").read_text())
    for statement in statements():
        for action in listed(statement["Action"]):
            service, _, name = action.partition(":")
            has_resource = "Resources" in known[service]["Actions"][name.lower()]
            assert has_resource or statement["Resource"] == "*", action
            assert statement["Resource"] != "*" or statement["Sid"] in WITHOUT_RESOURCE


def test_only_policy_templates_without_wildcards_are_used() -> None:
    """SAM's own for Lambda, DynamoDB, SQS and S3 name more than one resource."""
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
def test_a_function_has_only_the_layers_that_it_needs(name: str) -> None:
    layers = {layer["Ref"] for layer in FUNCTIONS[name]["Properties"]["Layers"]}
    submitting = ("ApiFunction", "ServeTasksFunction", "SwitchWorkspacesFunction")
    edge = {"EdgeLayer"} if name in submitting else set()
    of_workspaces = ("ApiFunction", "ScheduleWorkspacesFunction", "SwitchWorkspacesFunction")
    schedules = {"SchedulesLayer"} if name in of_workspaces else set()
    assert layers == {"CoreLayer", "DependenciesLayer"} | edge | schedules


def test_every_log_group_has_a_retention() -> None:
    for entry in resources("AWS::Logs::LogGroup").values():
        assert entry["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_the_bucket_has_a_rule_for_each_lifetime_that_the_engine_may_pick() -> None:
    template = load_template()
    bucket = template["Resources"]["BlobsBucket"]["Properties"]
    rules = bucket["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert expiring == {f"requests/{days}/": days for days in LIFETIMES_DAYS}
    longest = timedelta(days=template["Parameters"]["RetentionDays"]["MaxValue"])
    assert 2 * longest + GRACE + timedelta(seconds=MAX_DELAY_S) <= timedelta(LIFETIMES_DAYS[-1])


def test_whoever_reads_blobs_is_told_which_are_missing() -> None:
    """Without s3:ListBucket, or under a condition on a prefix, S3 answers AccessDenied instead."""
    [policy] = [
        entry["Properties"]["PolicyDocument"]["Statement"]
        for entry in resources("AWS::IAM::ManagedPolicy").values()
        if "s3:GetObject" in json.dumps(entry)
    ]
    written = [chosen for statement in policy for chosen in choices(statement)]
    [lister] = [s for s in written if "s3:ListBucket" in listed(s["Action"])]
    assert lister["Resource"] == {"Fn::GetAtt": "BlobsBucket.Arn"} or lister["Resource"] == {
        "Fn::GetAtt": ["BlobsBucket", "Arn"]
    }
    assert "Condition" not in lister
    readers = {
        name
        for name, function in FUNCTIONS.items()
        if "s3:GetObject" in json.dumps(function.get("Properties", {}).get("Policies", []))
    }
    with_engine = {
        name
        for name, function in FUNCTIONS.items()
        if "EnginePolicy" in json.dumps(function["Properties"].get("Policies", []))
    }
    assert len(with_engine) > 3 and readers <= with_engine


def test_tables_and_buckets_outlive_the_stack() -> None:
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket"):
        for entry in resources(kind).values():
            assert entry["DeletionPolicy"] == entry["UpdateReplacePolicy"] == "Retain"


def test_tables_are_on_demand_and_can_be_restored() -> None:
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


def streams_of(function: str) -> dict[str, dict[str, Any]]:
    """Return the properties of a function's streams by the name of the event."""
    events = FUNCTIONS[function]["Properties"].get("Events", {})
    return {n: e["Properties"] for n, e in events.items() if e["Type"] == "DynamoDB"}


def test_a_stream_that_starts_work_reports_single_failures_and_bounds_its_retries() -> None:
    starting = [streams_of(name) for name in FUNCTIONS if name != "CountOutcomesFunction"]
    streams = [stream for found in starting for stream in found.values()]
    assert streams
    for stream in streams:
        assert stream["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert stream["MaximumRetryAttempts"] <= 5


def test_a_stream_that_is_counted_is_read_whole_from_its_beginning() -> None:
    """A batch is known by its first record, so it must never be cut, halved or skipped."""
    streams = streams_of("CountOutcomesFunction")
    assert set(streams) == {"Requests", "Jobs", "LifecycleJobs"}
    forbidden = {
        "BisectBatchOnFunctionError",
        "FunctionResponseTypes",
        "MaximumRetryAttempts",
        "MaximumRecordAgeInSeconds",
        "ParallelizationFactor",
        "TumblingWindowInSeconds",
    }
    for stream in streams.values():
        assert stream["StartingPosition"] == "TRIM_HORIZON"
        assert stream["BatchSize"] == 10_000
        assert stream["MaximumBatchingWindowInSeconds"] <= 30
        assert not forbidden & set(stream)


def test_what_is_counted_has_images_from_before_unless_it_is_written_once_at_its_end() -> None:
    tables = resources("AWS::DynamoDB::Table")
    views = {
        name: entry["Properties"]["StreamSpecification"]["StreamViewType"]
        for name, entry in tables.items()
        if "StreamSpecification" in entry["Properties"]
    }
    assert views == {
        "RequestsTable": "NEW_AND_OLD_IMAGES",
        "JobsTable": "NEW_AND_OLD_IMAGES",
        "WorkspaceLifecycleJobsTable": "NEW_IMAGE",
    }


def test_a_rebuild_waits_for_longer_than_a_batch_is_counted() -> None:
    margin_s = load_template()["Parameters"]["RebuildMarginSeconds"]["Default"]
    assert margin_s > FUNCTIONS["CountOutcomesFunction"]["Properties"]["Timeout"]


def test_each_sweep_runs_at_the_interval_of_its_source() -> None:
    parameters = load_template()["Parameters"]
    defaults = {name: parameters[name]["Default"] for name in parameters if "Sweep" in name}
    assert defaults == {
        "JobsSweepSchedule": "rate(15 minutes)",
        "NewRequestsSweepSchedule": "rate(5 minutes)",
        "InprogressRequestsSweepSchedule": "rate(1 minute)",
        "WorkersSweepSchedule": "rate(1 minute)",
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
        "workers": {"Ref": "WorkersSweepSchedule"},
    }


def test_disabled_workers_start_nothing_and_are_seen_all_the_same() -> None:
    for name, entry in FUNCTIONS.items():
        if name in ("CountOutcomesFunction", "MeasurePlatformFunction"):
            continue
        for event in entry["Properties"].get("Events", {}).values():
            field = "State" if event["Type"] == "ScheduleV2" else "Enabled"
            assert event["Properties"][field]["Fn::If"][0] == "AreWorkersEnabled"


def test_functions_read_no_variable_that_the_template_does_not_set() -> None:
    read = set()
    for folder in ("functions", "layers/core/shiftwork_core"):
        for path in (ROOT / folder).rglob("*.py"):
            # Only settings.py reads the environment by `get`.
            reads = r"environ\[|\bget\(" if path.name == "settings.py" else r"environ\["
            read |= set(re.findall(rf'(?:{reads})"([A-Z][A-Z_]+)"', path.read_text()))
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


def test_every_route_needs_a_token_except_the_heartbeat_and_the_token_route() -> None:
    routes = resources("AWS::ApiGatewayV2::Route").values()
    auth = {
        entry["Properties"]["RouteKey"]: entry["Properties"]["AuthorizationType"]
        for entry in routes
    }
    assert auth == {
        "ANY /{proxy+}": "CUSTOM",
        "ANY /api/{proxy+}": "CUSTOM",
        "POST /v1/tasks/exchange": "CUSTOM",
        "POST /api/token": "NONE",
        "GET /heartbeat": "NONE",
    }


def test_serve_tasks_gets_the_routes_of_the_task_api_and_no_others() -> None:
    routes = resources("AWS::ApiGatewayV2::Route").values()
    keys = {
        entry["Properties"]["RouteKey"]
        for entry in routes
        if "ServeTasks" in str(entry["Properties"]["Target"])
    }
    assert keys == {"ANY /api/{proxy+}", "POST /v1/tasks/exchange", "POST /api/token"}
    for route in TASK_ROUTES:
        assert route.path.startswith("/api/") or f"{route.method} {route.path}" in keys


@pytest.mark.parametrize("environment", ["local", "dev", "prod"])
def test_every_environment_has_a_stack_of_its_own(environment: str) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    parameters = config[environment]["deploy"]["parameters"]
    assert parameters["stack_name"] == f"shiftwork-{environment}"
    if environment != "local":
        assert f"Stage={environment}" in parameters["parameter_overrides"].split()


def test_workspaces_switch_only_what_is_tagged_unless_a_deployment_says_otherwise() -> None:
    assert load_template()["Parameters"]["SwitchOnlyTagged"]["Default"] == "true"


def test_the_bucket_and_every_queue_refuse_calls_without_tls() -> None:
    resources = load_template()["Resources"]
    queues = {name for name, one in resources.items() if one["Type"] == "AWS::SQS::Queue"}
    policies = [resources["BlobsBucketPolicy"], resources["QueuesPolicy"]]
    for policy in policies:
        [statement] = policy["Properties"]["PolicyDocument"]["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Principal"] == "*"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert {one["Ref"] for one in policies[1]["Properties"]["Queues"]} == queues


def test_the_stage_has_a_rate_and_a_burst() -> None:
    settings = load_template()["Resources"]["HttpApiStage"]["Properties"]["DefaultRouteSettings"]
    assert settings == {
        "ThrottlingRateLimit": {"Ref": "ApiRate"},
        "ThrottlingBurstLimit": {"Ref": "ApiBurst"},
    }
