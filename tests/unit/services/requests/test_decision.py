"""What AdvanceRequest answers the state machine, of how many batches may run at once."""

from __future__ import annotations

import pytest

from shiftwork_core.services.requests.dispatch import Action, Decision


@pytest.mark.parametrize(
    ("action", "of_the_types", "of_the_deployment", "at_once"),
    [
        pytest.param(Action.RUN, 0, 1000, 40, id="an inline Map runs forty"),
        pytest.param(Action.RUN, 3, 1000, 3, id="fewer, if a job type says so"),
        pytest.param(Action.RUN, 0, 25, 25, id="fewer, if the deployment says so"),
        pytest.param(Action.RUN_WIDE, 0, 1000, 1000, id="a distributed Map runs a thousand"),
        pytest.param(Action.RUN_WIDE, 70, 1000, 70, id="fewer, as a job type says"),
        pytest.param(Action.RUN_WIDE_SLOW, 700, 200, 200, id="the deployment's bound holds"),
        pytest.param(Action.AWAIT, 0, 1000, 40, id="a Map of no batches has a bound too"),
    ],
)
def test_a_map_runs_the_least_of_what_types_deployment_and_its_kind_allow(
    action: Action, of_the_types: int, of_the_deployment: int, at_once: int
) -> None:
    decision = Decision("r-1", 1, action, max_concurrency=of_the_types)
    assert decision.to_json(of_the_deployment)["max_concurrency"] == at_once
