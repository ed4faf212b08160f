"""Measure what Lambda measures of a function's environment, before a deployment fails at it.

Lambda takes all variables of a function together as one JSON text, escapes included, and refuses
more than 4 KB of it. The names that CloudFormation makes up are counted at their full length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shiftwork.local.errors import LocalStackError

#: Lambda's quota, which cannot be raised.
MAX_BYTES = 4096

#: As long as what CloudFormation and Secrets Manager append to names, and as an account's id.
_SUFFIX, _SECRET_SUFFIX, _ACCOUNT = "x" * 13, "x" * 6, "0" * 12
_LONGEST_QUEUE, _LONGEST_BUCKET = 80, 63


@dataclass(frozen=True, slots=True)
class Place:
    """Where a template becomes a stack, and with which parameters."""

    stack_name: str
    region: str
    parameters: Mapping[str, str]


def require_room(template: Mapping[str, Any], place: Place) -> None:
    """Check that each function's variables fit.

    Raises
    ------
    LocalStackError
        If those of a function do not; it names the parameter that takes the most room.
    """
    sizes = {name: _size(variables) for name, variables in environments(template, place).items()}
    largest = max(sizes, key=lambda name: sizes[name])
    over = sizes[largest] - MAX_BYTES
    if over <= 0:
        return
    widest = max(place.parameters, key=lambda name: _size({"": place.parameters[name]}))
    raise LocalStackError(
        f"The environment of {largest} would have {sizes[largest]:,} bytes, and Lambda takes"
        f" {MAX_BYTES:,}. The parameter {widest} has {_size({'': place.parameters[widest]}):,}"
        " of them, each quotation mark counted twice.",
        f"shorten {widest} by {over:,} bytes, with shorter names or fewer entries",
    )


def environments(template: Mapping[str, Any], place: Place) -> dict[str, dict[str, str]]:
    """Return the variables of each function by its logical id, as they will be at most."""
    common = template["Globals"]["Function"]["Environment"]["Variables"]
    return {
        name: {
            variable: _value(value, template, place)
            for variable, value in {**common, **_own_variables(entry)}.items()
        }
        for name, entry in template["Resources"].items()
        if entry["Type"] == "AWS::Serverless::Function"
    }


def _own_variables(function: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = function["Properties"].get("Environment", {}).get("Variables", {})
    return found


def _size(variables: Mapping[str, str]) -> int:
    return len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())


def _value(value: Any, template: Mapping[str, Any], place: Place) -> str:
    match value:
        case {"Ref": name}:
            return _reference(str(name), template, place)
        case {"Fn::Sub": text}:
            return re.sub(
                r"\$\{([\w:]+)\}", lambda found: _reference(found[1], template, place), str(text)
            )
        case {"Fn::Join": [_, listed]}:  # A parameter that is a list is written with commas anyway.
            return _value(listed, template, place)
    return str(value)


def _reference(name: str, template: Mapping[str, Any], place: Place) -> str:
    known = {
        **place.parameters,
        "AWS::Partition": "aws",
        "AWS::Region": place.region,
        "AWS::AccountId": _ACCOUNT,
        "AWS::StackName": place.stack_name,
    }
    if name in known:
        return known[name]
    resource = template["Resources"][name]
    physical = f"{place.stack_name}-{name}-{_SUFFIX}"
    match resource["Type"]:
        case "AWS::SQS::Queue":
            queue = physical[:_LONGEST_QUEUE]
            return f"https://sqs.{place.region}.amazonaws.com/{_ACCOUNT}/{queue}"
        case "AWS::S3::Bucket":
            return physical[:_LONGEST_BUCKET]
        case "AWS::SecretsManager::Secret":
            secret = f"{name}-{_SUFFIX}-{_SECRET_SUFFIX}"
            return f"arn:aws:secretsmanager:{place.region}:{_ACCOUNT}:secret:{secret}"
        case "AWS::Logs::LogGroup":
            return _value(resource["Properties"]["LogGroupName"], template, place)
    return physical
