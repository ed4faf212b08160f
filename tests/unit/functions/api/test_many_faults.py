"""Bodies with more faults than anybody reads cost no more than bodies with few."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.unit.functions.api.conftest import Api
from tests.world.counted import no_hang

GOOD_JOB = {"name": "good", "type": "add"}


@pytest.mark.parametrize(
    "job",
    [{}, 0, {"name": "a"}, {"name": "a", "type": "add"}, {"type": "add"}, [], {"name": 1}],
    ids=str,
)
def test_the_faults_of_a_definition_are_told_up_to_a_number_and_not_looked_for_beyond(
    api: Api, monkeypatch: pytest.MonkeyPatch, job: Any
) -> None:
    told: list[str] = []
    tell = sys.modules["inputs"].fault

    def fault(message: str) -> Any:
        told.append(message)
        return tell(message)

    monkeypatch.setattr("inputs.fault", fault)
    steps = [{"name": f"s{n}", "jobs": [job] * 1000} for n in range(30)]
    with no_hang():
        answer = api("PUT", "/v1/request-types/wide", {"steps": steps})
    assert answer.status == 422
    assert answer.body["errors"][0]["path"].startswith("steps[0].jobs[0]")
    # At most so many of each list of ten, and again of the list that holds them.
    assert len(told) < 3000


def test_a_fault_far_down_a_list_is_told_with_its_place(api: Api) -> None:
    jobs: list[Any] = [{**GOOD_JOB, "name": f"j{n}"} for n in range(300)]
    jobs[120] = {"name": "j120"}
    jobs[299] = {**GOOD_JOB, "name": "j0"}
    steps = [{"name": f"s{n}", "jobs": [GOOD_JOB]} for n in range(100)]
    steps[77] = {"name": "s77", "jobs": jobs}
    assert api("PUT", "/v1/request-types/wide", {"steps": steps}).faults == {
        "steps[77].jobs[120].type": "is required",
        "steps[77].jobs[0].name": "another has the name 'j0' too",
        "steps[77].jobs[299].name": "another has the name 'j0' too",
    }


@pytest.mark.parametrize(("steps", "jobs"), [(101, 1), (1, 10_001)])
def test_a_list_that_is_too_long_is_told_as_such(api: Api, steps: int, jobs: int) -> None:
    body = {"steps": [{"name": f"s{n}", "jobs": [GOOD_JOB] * jobs} for n in range(steps)]}
    answer = api("PUT", "/v1/request-types/wide", body)
    assert any("List should have at most" in message for message in answer.faults.values())


def test_a_definition_with_many_jobs_is_kept_as_it_was_sent(api: Api) -> None:
    jobs = [{**GOOD_JOB, "name": f"j{n}"} for n in range(1234)]
    answer = api("PUT", "/v1/request-types/wide", {"steps": [{"name": "s", "jobs": jobs}]})
    assert answer.body["steps"] == [{"name": "s", "jobs": jobs}]
