"""Calling functions with a task, and reading their results."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any

import pydantic
import pytest

from shiftwork.worker.task import Failure, Retry, Task, TaskResult, TaskStatus
from shiftwork.worker.task_function import TaskFunction, as_object


@dataclass
class Box:
    width: int
    label: str = "none"


@dataclass
class Parcel:
    boxes: list[Box] = field(default_factory=list)
    extra: Box | None = None


class Order(pydantic.BaseModel):
    id: int
    boxes: list[str] = []


class Mute(Exception):
    """Cannot say what is wrong."""

    def __str__(self) -> str:
        raise SystemExit


class MuteFailure(Mute, Failure):
    """Neither can this."""


def task(params: Any = None, **given: Any) -> Task:
    fields: dict[str, Any] = {
        "task_id": "r-1.1.0.1",
        "type": "pack",
        "job": "pack",
        "request_id": "r-1",
        "request_type": "send",
        "params": {} if params is None else params,
        "extras": {},
        "item": None,
        "output": {},
        "attempt": 1,
        "poll_count": 1,
        "fence": 1,
        "response_timeout_s": 60,
        "timeout_s": 0,
        "created_at": "2026-01-01T00:00:00Z",
        "correlation_id": None,
        "priority": 0,
    }
    return Task(**fields | given)


def given_to(function: Any, params: Any = None, **given: Any) -> dict[str, Any]:
    return TaskFunction(function).arguments(task(params, **given))


# -- what goes in --------------------------------------------------------------------------------


def test_a_parameter_gets_the_task_by_its_type_or_its_name() -> None:
    def by_type(t: Task) -> None: ...
    def by_name(task): ...  # type: ignore[no-untyped-def]

    one = task()
    assert TaskFunction(by_type).arguments(one) == {"t": one}
    assert TaskFunction(by_name).arguments(one) == {"task": one}


def test_a_function_without_parameters_gets_nothing() -> None:
    assert given_to(lambda: None, {"a": 1}) == {}


def test_plain_parameters_get_the_params_of_their_names() -> None:
    def pack(width: int, label: str = "none", *, t: Task) -> None: ...

    found = given_to(pack, {"width": 2, "other": 3})
    assert found.pop("t").params == {"width": 2, "other": 3}
    assert found == {"width": 2}


def test_params_extras_and_item_get_those_parts_of_the_input() -> None:
    def pack(params: dict[str, Any], extras: dict[str, Any], item: Box) -> None: ...

    found = given_to(pack, {"a": 1}, extras={"b": 2}, item={"width": 3})
    assert found == {"params": {"a": 1}, "extras": {"b": 2}, "item": Box(3)}


@pytest.mark.parametrize(
    ("type_", "params", "expected"),
    [
        (Box, {"width": 1, "unknown": 2}, Box(1)),
        (Order, {"id": "7", "boxes": ["a"]}, Order(id=7, boxes=["a"])),
        (Parcel, {"boxes": [{"width": 1}], "extra": None}, Parcel([Box(1)], None)),
        (Parcel, {"extra": {"width": 1}}, Parcel([], Box(1))),
    ],
)
def test_a_model_that_is_the_only_parameter_is_built_from_all_params(
    type_: Any, params: Any, expected: Any
) -> None:
    def pack(order, task): ...  # type: ignore[no-untyped-def]

    pack.__annotations__["order"] = type_
    assert given_to(pack, params)["order"] == expected


def test_a_model_among_other_parameters_is_built_from_its_own_param() -> None:
    def pack(order: Order, count: int, more: dict[str, Box]) -> None: ...

    found = given_to(pack, {"order": {"id": 1}, "count": 2, "more": {"x": {"width": 3}}})
    assert found == {"order": Order(id=1), "count": 2, "more": {"x": Box(3)}}


def test_keyword_arguments_get_the_remaining_params() -> None:
    def pack(width: int, **rest: Any) -> None: ...

    assert given_to(pack, {"width": 1, "a": 2}) == {"width": 1, "a": 2}


def test_a_function_whose_types_cannot_be_read_gets_plain_values() -> None:
    def pack(order: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert given_to(pack, {"order": {"id": 1}}) == {"order": {"id": 1}}


@pytest.mark.parametrize(
    ("type_", "params"), [(Box, {}), (Box, [1]), (Order, {"id": "x"}), (Order, None)], ids=str
)
def test_input_that_does_not_fit_is_not_retried(type_: Any, params: Any) -> None:
    def pack(order): ...  # type: ignore[no-untyped-def]

    pack.__annotations__["order"] = type_
    result = TaskFunction(pack).call(task(params))
    assert result.status is TaskStatus.FAILED_WITH_TERMINAL_ERROR
    assert "'order'" in result.reason


def test_a_missing_param_is_named() -> None:
    def pack(width: int, height: int) -> None: ...

    with pytest.raises(Failure, match="'height'"):
        given_to(pack, {"width": 1})


def test_a_positional_only_parameter_is_refused_at_once() -> None:
    def pack(width: int, /) -> None: ...

    with pytest.raises(TypeError, match="'width'"):
        TaskFunction(pack)


# -- what comes out ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "output"),
    [
        (None, {}),
        ({"a": 1}, {"a": 1}),
        (7, {"result": 7}),
        ("text", {"result": "text"}),
        ([1, 2], {"result": [1, 2]}),
        (Box(1, "x"), {"width": 1, "label": "x"}),
        (Order(id=1), {"id": 1, "boxes": []}),
        ({"box": Box(1), "orders": [Order(id=1)]}, None),
        (TaskResult(output=5), {"result": 5}),
    ],
)
def test_the_return_value_becomes_the_output(returned: Any, output: Any) -> None:
    result = TaskFunction(lambda: returned).call(task())
    if output is None:
        output = {"box": {"width": 1, "label": "none"}, "orders": [{"id": 1, "boxes": []}]}
    assert result.status is TaskStatus.COMPLETED
    assert as_object(result.output)[0] == output


def test_the_size_of_an_output_is_that_of_its_json() -> None:
    assert as_object({"a": "ü"})[1] == len('{"a": "ü"}'.encode())


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "output",
    [{"a": math.nan}, {"a": {1, 2}}, object(), {"a": "\udc80"}, {"\udc80": 1}, nested(5_000)],
    ids=range(6),
)
def test_an_output_that_json_cannot_hold_is_an_error(output: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        as_object(output)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Retry("busy"), TaskStatus.FAILED, "busy"),
        (Failure("never"), TaskStatus.FAILED_WITH_TERMINAL_ERROR, "never"),
        (Failure(), TaskStatus.FAILED_WITH_TERMINAL_ERROR, "Failure"),
        (KeyError("x"), TaskStatus.FAILED, "KeyError: 'x'"),
        (SystemExit(1), TaskStatus.FAILED, "SystemExit: 1"),
        (KeyboardInterrupt(), TaskStatus.FAILED, "KeyboardInterrupt"),
        (GeneratorExit(), TaskStatus.FAILED, "GeneratorExit"),
        (BaseException("base"), TaskStatus.FAILED, "BaseException: base"),
        (ValueError("half \udc80"), TaskStatus.FAILED, "ValueError: half \\udc80"),
        (Mute(), TaskStatus.FAILED, "Mute: (its text cannot be read: SystemExit)"),
        (
            MuteFailure(),
            TaskStatus.FAILED_WITH_TERMINAL_ERROR,
            "(its text cannot be read: SystemExit)",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("is_async", [False, True])
def test_an_exception_fails_the_task(
    error: BaseException, status: TaskStatus, reason: str, is_async: bool, unlogged: None
) -> None:
    def sync() -> None:
        raise error

    async def asynchronous() -> None:
        raise error

    if is_async:
        result = asyncio.run(TaskFunction(asynchronous).call_async(task()))
    else:
        result = TaskFunction(sync).call(task())
    assert (result.status, result.reason) == (status, reason)


def test_only_unexpected_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fails(error: BaseException) -> Any:
        def work() -> None:
            raise error

        return work

    TaskFunction(fails(Retry("busy"))).call(task())
    assert caplog.records == []
    TaskFunction(fails(ValueError("x"))).call(task())
    (record,) = caplog.records
    assert record.taskId == "r-1.1.0.1"  # type: ignore[attr-defined]
    assert record.exc_info is not None


def test_all_attempts_at_a_job_share_its_key() -> None:
    assert task().job_key == "r-1.1.0"
