"""Whether a function's variables fit into what Lambda takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shiftwork.local import LocalStackError
from shiftwork.local.environment_size import MAX_BYTES, Place, environments, require_room
from shiftwork.local.template import defaults_of
from tests.template import load_template, resources

REGION = "ap-southeast-2"


def place(**parameters: str) -> Place:
    return Place("shiftwork-production-eu", REGION, defaults_of(load_template()) | parameters)


def template(**variables: Any) -> dict[str, Any]:
    """Return a template of two functions; one has these variables."""
    return {
        "Globals": {"Function": {"Environment": {"Variables": {"STAGE": {"Ref": "Stage"}}}}},
        "Resources": {
            "Wide": {
                "Type": "AWS::Serverless::Function",
                "Properties": {"Environment": {"Variables": variables}},
            },
            "Narrow": {"Type": "AWS::Serverless::Function", "Properties": {}},
        },
    }


def lambda_measures(variables: dict[str, str]) -> int:
    """Return what Lambda does, by the "String measured" that its refusal quotes."""
    return len(json.dumps(variables, separators=(",", ":")).encode())


def test_every_function_has_its_own_variables_besides_those_of_all() -> None:
    found = environments(load_template(), place())
    assert set(found) == set(resources("AWS::Serverless::Function"))
    assert found["ApiFunction"]["STAGE"] == "dev"
    assert found["ApiFunction"]["RUN_JOBS_LOG_GROUP"] == (
        "/aws/lambda/shiftwork-production-eu-run-jobs"
    )
    assert "RUN_JOBS_LOG_GROUP" not in found["SweepFunction"]
    for variables in found.values():
        assert not [value for value in variables.values() if "${" in value or "{'" in value]


def test_the_bound_is_met_to_the_byte() -> None:
    room = MAX_BYTES - lambda_measures({"STAGE": "dev", "SERVICES": ""})
    at = Place("stack", REGION, {"Stage": "dev", "Services": "x" * room})
    require_room(template(SERVICES={"Ref": "Services"}), at)
    at = Place("stack", REGION, {"Stage": "dev", "Services": "x" * (room + 1)})
    with pytest.raises(LocalStackError, match=r"Wide would have 4,097 bytes") as raised:
        require_room(template(SERVICES={"Ref": "Services"}), at)
    assert raised.value.next_step.startswith("shorten Services by 1 bytes")


def test_a_quotation_mark_counts_twice_and_a_character_as_its_bytes() -> None:
    quotes = MAX_BYTES // 2
    for services in ('"' * quotes, "é" * quotes):
        at = Place("stack", REGION, {"Stage": "dev", "Services": services})
        with pytest.raises(LocalStackError, match="Services has"):
            require_room(template(SERVICES={"Ref": "Services"}), at)


def test_the_template_leaves_room_for_forty_services() -> None:
    services = {f"service-{n}": f"https://service-{n}.example.com" for n in range(40)}
    require_room(load_template(), place(Services=json.dumps(services, separators=(",", ":"))))
