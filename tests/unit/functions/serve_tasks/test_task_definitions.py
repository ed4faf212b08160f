"""TaskDefs become job types, and job types TaskDefs."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shiftwork_core.domain.requests.definitions import Kind
from tests.unit.functions.serve_tasks.conftest import TaskApi
from tests.world.world import World

BEGIN_MS = 1767225600000
#: Conductor's defaults, and no cap.
DEFAULTS = {
    "name": "print",
    "description": "",
    "retryCount": 3,
    "retryLogic": "FIXED",
    "retryDelaySeconds": 60,
    "maxRetryDelaySeconds": 0,
    "backoffScaleFactor": 1,
    "timeoutSeconds": 0,
    "timeoutPolicy": "TIME_OUT_WF",
    "responseTimeoutSeconds": 3600,
    "pollTimeoutSeconds": 0,
    "concurrentExecLimit": 0,
    "rateLimitPerFrequency": 0,
    "rateLimitFrequencyInSeconds": 1,
    "createTime": BEGIN_MS,
    "updateTime": BEGIN_MS,
}
TUNED = {
    "name": "print",
    "description": "Prints.",
    "retryCount": 5,
    "retryLogic": "LINEAR_BACKOFF",
    "retryDelaySeconds": 7,
    "maxRetryDelaySeconds": 100,
    "backoffScaleFactor": 3,
    "timeoutSeconds": 900,
    "timeoutPolicy": "ALERT_ONLY",
    "responseTimeoutSeconds": 30,
    "pollTimeoutSeconds": 60,
    "concurrentExecLimit": 4,
    "rateLimitPerFrequency": 10,
    "rateLimitFrequencyInSeconds": 5,
    "ownerEmail": "ops@example.com",
    "inputKeys": ["a"],
    "inputTemplate": {"copies": 1},
    "newField": {"x": [1, None]},
}
PATH = "/api/metadata/taskdefs"


def put(api: TaskApi, **fields: Any) -> int:
    return api("PUT", PATH, {"name": "print", **fields}).status


def shown(api: TaskApi, name: str = "print") -> Any:
    answer = api("GET", f"{PATH}/{name}")
    assert answer.status == 200, answer.text
    return answer.body


def version(world: World, name: str = "print") -> int:
    return world.definitions.get(Kind.JOB_TYPE, name).version


def test_a_new_definition_has_conductors_defaults(api: TaskApi, world: World) -> None:
    answer = api("POST", PATH, [{"name": "print"}])
    assert (answer.status, answer.text) == (200, "")
    assert shown(api) == DEFAULTS
    body = world.definitions.get(Kind.JOB_TYPE, "print").body
    assert body["target"] == "worker"
    assert body["retry"]["jitter"] == "none"


def test_a_definition_is_returned_as_it_was_put(api: TaskApi) -> None:
    api("POST", PATH, [TUNED])
    assert shown(api) == TUNED | {"createTime": BEGIN_MS, "updateTime": BEGIN_MS}


def test_numbers_may_be_digits_in_text(api: TaskApi) -> None:
    numbers = {k: v for k, v in TUNED.items() if isinstance(v, int) and not isinstance(v, bool)}
    assert len(numbers) > 9
    texts = {name: str(value) for name, value in numbers.items()}
    assert api("POST", PATH, [TUNED | texts]).status == 200
    assert shown(api) == DEFAULTS | TUNED


def test_a_put_without_fields_changes_nothing(api: TaskApi, world: World) -> None:
    """Conductor's Python SDK sends this when a worker starts."""
    api("POST", PATH, [TUNED])
    assert put(api, enforceSchema=False) == 200
    after = shown(api)
    assert after.pop("enforceSchema") is False
    assert after == TUNED | {"createTime": BEGIN_MS, "updateTime": BEGIN_MS}
    assert version(world) == 2


def test_a_post_of_an_existing_definition_changes_only_the_fields_it_names(api: TaskApi) -> None:
    api("POST", PATH, [TUNED])
    api("POST", PATH, [{"name": "print", "retryCount": 1, "newField": 5, "retryLogic": None}])
    after = shown(api)
    assert (after["retryCount"], after["newField"]) == (1, 5)
    assert (after["retryLogic"], after["timeoutSeconds"]) == ("LINEAR_BACKOFF", 900)


def test_a_new_version_is_made_only_if_something_changes(api: TaskApi, world: World) -> None:
    api("POST", PATH, [TUNED])
    for _ in range(3):
        api("POST", PATH, [TUNED])
        put(api)
        assert api("PUT", PATH, shown(api)).status == 200
    assert version(world) == 1
    put(api, retryCount=6)
    assert version(world) == 2


def test_a_put_of_an_unknown_definition_is_404(api: TaskApi) -> None:
    """Then Conductor's SDK posts it."""
    assert put(api) == 404
    assert api("GET", f"{PATH}/print").status == 404
    assert api("DELETE", f"{PATH}/print").status == 404


def test_a_job_types_own_settings_survive(api: TaskApi, world: World) -> None:
    assert put_render(api, retryCount=7) == 200
    body = world.definitions.get(Kind.JOB_TYPE, "render").body
    assert body["retry"] == {
        "max_attempts": 8, "backoff": "fixed", "delay_s": 10, "jitter": "none"
    }  # fmt: skip
    assert body["timeout_s"] == 600
    assert shown(api, "render")["maxRetryDelaySeconds"] == 60


def test_a_task_definition_that_is_put_leaves_its_queue_in_its_shards(
    api: TaskApi, world: World
) -> None:
    world.job_type("render", target="worker", worker={"shards": 8, "concurrency_limit": 3})
    assert put_render(api, concurrentExecLimit=5) == 200
    worker = world.definitions.get(Kind.JOB_TYPE, "render").body["worker"]
    assert worker == {"shards": 8, "concurrency_limit": 5}


def put_render(api: TaskApi, **fields: Any) -> int:
    return api("PUT", PATH, {"name": "render", **fields}).status


def test_a_job_type_of_another_target_has_no_task_definition(api: TaskApi, world: World) -> None:
    world.job_type("add")
    assert api("GET", f"{PATH}/add").status == 404
    assert api("PUT", PATH, {"name": "add", "retryCount": 1}).status == 409
    assert api("POST", PATH, [{"name": "add"}]).status == 409
    assert api("DELETE", f"{PATH}/add").status == 409
    assert [d["name"] for d in api("GET", PATH).body] == ["render"]


def test_a_deleted_definition_is_gone_and_may_be_created_again(api: TaskApi) -> None:
    api("POST", PATH, [TUNED, {"name": "paint"}])
    assert [d["name"] for d in api("GET", PATH).body] == ["paint", "print", "render"]
    assert api("DELETE", f"{PATH}/print").status == 200
    assert [d["name"] for d in api("GET", PATH).body] == ["paint", "render"]
    api("POST", PATH, [{"name": "print"}])
    assert shown(api) == DEFAULTS


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"name": None}, "[1].name"),
        ({"name": "0"}, "[1].name"),
        ({"name": "a b"}, "[1].name"),
        ({"name": "x" * 129}, "[1].name"),
        ({"description": 5}, "[1].description"),
        ({"description": "x" * 2001}, "[1].description"),
        ({"retryCount": -1}, "[1].retryCount"),
        ({"retryCount": 1000}, "[1].retryCount"),
        ({"retryCount": 1.5}, "[1].retryCount"),
        ({"retryCount": "three"}, "[1].retryCount"),
        ({"retryCount": True}, "[1].retryCount"),
        ({"retryLogic": "RANDOM"}, "[1].retryLogic"),
        ({"retryLogic": ["FIXED"]}, "[1].retryLogic"),
        ({"retryDelaySeconds": 604801}, "[1].retryDelaySeconds"),
        ({"backoffScaleFactor": 0}, "[1].backoffScaleFactor"),
        ({"timeoutSeconds": -1}, "[1].timeoutSeconds"),
        ({"timeoutPolicy": "FAIL"}, "[1].timeoutPolicy"),
        ({"responseTimeoutSeconds": 0}, "[1].responseTimeoutSeconds"),
        ({"concurrentExecLimit": 1001}, "[1].concurrentExecLimit"),
        ({"rateLimitFrequencyInSeconds": 0}, "[1].rateLimitFrequencyInSeconds"),
    ],
    ids=str,
)
def test_a_bad_definition_is_400_and_nothing_is_written(
    api: TaskApi, fields: dict[str, Any], fault: str
) -> None:
    answer = api("POST", PATH, [{"name": "paint"}, {"name": "print", **fields}])
    assert (answer.status, set(answer.faults)) == (400, {fault})
    assert [d["name"] for d in api("GET", PATH).body] == ["render"]


def test_every_fault_of_a_definition_is_named(api: TaskApi) -> None:
    answer = api("PUT", PATH, {"name": "render", "retryCount": -1, "timeoutSeconds": "x"})
    assert set(answer.faults) == {"retryCount", "timeoutSeconds"}


@pytest.mark.parametrize("body", [5, None, "x", [5], [None], [[]], {}], ids=str)
def test_a_body_that_is_not_a_definition_is_400(api: TaskApi, body: Any) -> None:
    assert api("PUT", PATH, body).status == 400
    assert api("POST", PATH, body).status == 400


def test_the_input_template_provides_missing_params(api: TaskApi, world: World) -> None:
    put_render(api, inputTemplate={"copies": 1, "title": "none"})
    api.start(title="M")
    [task] = api.poll()
    assert task["inputData"] == {
        "copies": 1, "title": "M", "params": {"title": "M"}, "extras": {}, "item": None
    }  # fmt: skip


NUMBERS = st.integers(-1, 700_000) | st.floats(-1, 700_000)
FIELDS = {
    "description": st.text(max_size=5),
    "retryCount": st.integers(-1, 1001),
    "retryLogic": st.sampled_from(["FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"]),
    "retryDelaySeconds": NUMBERS,
    "maxRetryDelaySeconds": NUMBERS,
    "backoffScaleFactor": NUMBERS | st.integers(1, 1001),
    "timeoutSeconds": NUMBERS,
    "timeoutPolicy": st.sampled_from(["RETRY", "TIME_OUT_WF", "ALERT_ONLY"]),
    "responseTimeoutSeconds": NUMBERS,
    "pollTimeoutSeconds": NUMBERS,
    "concurrentExecLimit": st.integers(-1, 1001),
    "rateLimitPerFrequency": st.integers(-1, 1_000_001),
    "rateLimitFrequencyInSeconds": st.integers(-1, 86_401),
    "inputKeys": st.lists(st.text(max_size=3), max_size=2),
}


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(task_def=st.fixed_dictionaries({}, optional=FIELDS))
def test_an_accepted_definition_is_a_good_job_type_and_is_returned(
    api: TaskApi,
    import_app: Callable[[str], ModuleType],
    task_def: dict[str, Any],
) -> None:
    """The API's models and these checks have the same bounds."""
    api.world.tables.definitions.clear()
    answer = api("POST", PATH, [{"name": "print", **task_def}])
    assert answer.status in (200, 400)
    import_app("api")
    from v1.definitions.inputs import JobTypeInput  # type: ignore[import-not-found]

    if answer.status == 200:
        JobTypeInput.model_validate(api.world.definitions.get(Kind.JOB_TYPE, "print").body)
        assert task_def.items() <= shown(api).items()
