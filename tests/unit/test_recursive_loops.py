"""Check that Lambda's detection of recursive loops ends none that is meant, and watches the rest.

Lambda counts the calls that one event leads to, through SQS, SNS, S3 and calls of functions, and
refuses the next after about 16. It follows no stream, schedule or state machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.template import ROOT, listed, load_template, statements_of

Resources = Mapping[str, dict[str, Any]]
Graph = Mapping[str, set[str]]

FUNCTION = "AWS::Serverless::Function"
#: The actions by which a function hands an event on to the resource that the statement names.
HANDING_ON = {"sqs:SendMessage", "sns:Publish", "s3:PutObject", "lambda:InvokeFunction"}
#: The property of a function's event that names the resource it comes from.
SOURCES = {"SQS": "Queue", "SNS": "Topic", "S3": "Bucket"}
#: What functions call outside the stack: they cannot be seen from here.
OUTSIDE = {"FunctionTargets"}


def named_by(reference: Any) -> str:
    """Return the logical id that a reference names; a form that this does not know is an error."""
    match reference:
        case {"Ref": name}:
            return str(name)
        case {"Fn::GetAtt": name}:
            return str(name).split(".")[0]
        case {"Fn::Sub": text} if found := re.match(r"\$\{(\w+)(\.Arn)?\}", text):
            return found[1]
    raise AssertionError(f"which resource is {reference}?")


def handed_on_by(function: dict[str, Any], resources: Resources) -> set[str]:
    """Return the resources that a function's policies let it send to, write to or call."""
    return {
        named_by(resource)
        for statement in statements_of(function["Properties"].get("Policies", []), resources)
        if HANDING_ON & set(listed(statement["Action"]))
        for resource in listed(statement["Resource"])
    } - OUTSIDE


def graph_of(resources: Resources) -> Graph:
    """Return what each resource hands an event on to, as far as Lambda follows it."""
    graph: dict[str, set[str]] = {name: set() for name in resources}
    for name, entry in resources.items():
        if entry["Type"] != FUNCTION:
            continue
        graph[name] |= handed_on_by(entry, resources)
        for event in entry["Properties"].get("Events", {}).values():
            if event["Type"] in SOURCES:
                graph[named_by(event["Properties"][SOURCES[event["Type"]]])].add(name)
    return graph


def reached_from(start: str, graph: Graph) -> set[str]:
    reached: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph[name]
    return reached


def functions_in_loops(resources: Resources) -> set[str]:
    """Return the functions that an event of their own can come back to."""
    graph = graph_of(resources)
    functions = {name for name, entry in resources.items() if entry["Type"] == FUNCTION}
    return {name for name in functions if name in reached_from(name, graph)}


def function(*, calls: Any = (), reads: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a function with one statement for each action and resource of `calls`."""
    statements = [{"Action": action, "Resource": resource} for action, resource in calls]
    events = {
        kind: {"Type": kind, "Properties": {SOURCES.get(kind, "Stream"): source}}
        for kind, source in (reads or {}).items()
    }
    return {
        "Type": FUNCTION,
        "Properties": {"Policies": [{"Statement": statements}], "Events": events},
    }


def arn(name: str) -> dict[str, str]:
    return {"Fn::GetAtt": f"{name}.Arn"}


QUEUE = {"Type": "AWS::SQS::Queue"}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        pytest.param(
            {
                "Q": QUEUE,
                "F": function(calls=[("sqs:SendMessage", arn("Q"))], reads={"SQS": arn("Q")}),
            },
            {"F"},
            id="a function that wakes itself through a queue",
        ),
        pytest.param(
            {
                "Q": QUEUE,
                "F": function(calls=[("sqs:SendMessage", arn("Q"))]),
                "G": function(calls=[("lambda:InvokeFunction", arn("F"))], reads={"SQS": arn("Q")}),
                "Before": function(calls=[("sqs:SendMessage", arn("Q"))]),
            },
            {"F", "G"},
            id="two functions, and one that only begins the loop",
        ),
        pytest.param(
            {
                "T": {"Type": "AWS::SNS::Topic"},
                "F": function(calls=[("sns:Publish", {"Ref": "T"})], reads={"SNS": {"Ref": "T"}}),
            },
            {"F"},
            id="a topic",
        ),
        pytest.param(
            {
                "B": {"Type": "AWS::S3::Bucket"},
                "F": function(
                    calls=[("s3:PutObject", {"Fn::Sub": "${B.Arn}/*"})], reads={"S3": {"Ref": "B"}}
                ),
            },
            {"F"},
            id="a bucket",
        ),
        pytest.param(
            {
                "T": {"Type": "AWS::DynamoDB::Table"},
                "F": function(
                    calls=[("dynamodb:PutItem", arn("T"))],
                    reads={"DynamoDB": {"Fn::GetAtt": "T.StreamArn"}},
                ),
            },
            set(),
            id="a stream, which Lambda does not follow",
        ),
    ],
)
def test_a_loop_is_found_where_lambda_follows_an_event(
    resources: Resources, expected: set[str]
) -> None:
    assert functions_in_loops(resources) == expected


def test_every_loop_that_lambda_would_end_is_allowed_and_nothing_else_is() -> None:
    resources = load_template()["Resources"]
    allowed = {
        name
        for name, entry in resources.items()
        if entry.get("Properties", {}).get("RecursiveLoop") == "Allow"
    }
    assert allowed == functions_in_loops(resources)
    assert allowed, "the graph found no loop at all"


def test_every_allowed_loop_names_the_bounds_that_end_it() -> None:
    text = (ROOT / "template.yaml").read_text()
    comments = re.findall(r"((?: +#.*\n)+) +RecursiveLoop: Allow\n", text)
    assert len(comments) == text.count("RecursiveLoop: Allow")
    inputs = "".join(path.read_text() for path in ROOT.glob("functions/api/v1/*/inputs.py"))
    for comment in comments:
        bounds = re.findall(r"`(\w+)`", comment)
        assert bounds, comment
        for bound in bounds:
            assert re.search(rf"^    {bound}: Annotated\[", inputs, re.MULTILINE), bound
