"""What a submission is told of params that the schema does not name."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.adapters.schemas.check import check_schema
from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.errors import Invalid
from shiftwork_core.services.requests.requests import Submission
from tests.world.world import World

SCHEMA = {
    "type": "object",
    "required": ["customers"],
    "properties": {"customers": {"type": "array"}, "note": {"type": "string"}},
}


def faults_of(world: World, params: dict[str, Any], **schema: Any) -> dict[str, str]:
    """Return the faults of a submission, by their places."""
    world.job_type("work", lambda job: None)
    steps = [{"name": "one", "jobs": [{"name": "j", "type": "work"}]}]
    body = {"params": SCHEMA | schema, "steps": steps}
    world.definitions.put(Kind.REQUEST_TYPE, "send", body)
    service = world.another(check_schema=check_schema).requests
    try:
        service.submit(Submission("send", params, {}), None)
    except Invalid as error:
        return {fault.path: fault.message for fault in error.faults}
    return {}


def test_a_name_that_is_close_to_a_parameter_is_told_beside_what_is_missing(world: World) -> None:
    found = faults_of(world, {"custmers": [], "zzz": 1})
    assert list(found) == ["params", "params.custmers", "params.zzz"]
    assert found["params.custmers"] == "is not in the schema; did you mean customers?"
    assert found["params.zzz"] == "is not in the schema"


def test_params_that_fit_may_have_others_beside_them(world: World) -> None:
    assert faults_of(world, {"customers": [], "other": 1}) == {}


@pytest.mark.parametrize(
    "schema", [{"additionalProperties": True}, {"patternProperties": {"^c": {}}}]
)
def test_a_schema_that_says_what_others_there_may_be_is_believed(
    schema: dict[str, Any], world: World
) -> None:
    assert list(faults_of(world, {"custmers": []}, **schema)) == ["params"]


def test_very_many_params_and_very_long_names_are_cut(world: World) -> None:
    found = faults_of(world, {f"{'x' * 1000}{number}": 1 for number in range(100)})
    assert len(found) == 2
    assert max(map(len, found)) < 100
