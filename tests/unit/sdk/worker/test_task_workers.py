"""Workers as modules declare them and as command lines name them."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork.api.errors import ShiftworkError
from shiftwork.worker import TaskWorker
from shiftwork.worker.task_workers import declared_in, find
from tests.unit.sdk.worker import task_functions

MODULE = task_functions.__name__


def test_a_decorated_function_is_unchanged() -> None:
    assert task_functions.pack.__name__ == "pack"
    assert task_functions.undeclared(None) == 1  # type: ignore[arg-type]


def test_a_module_declares_its_workers() -> None:
    pack, send = declared_in(task_functions)
    assert pack == TaskWorker("pack", task_functions.pack, batch_size=3, processes=2)
    assert send == TaskWorker("send", task_functions.send, None, 0.5, "eu")


@pytest.mark.parametrize(
    ("reference", "types"),
    [
        (MODULE, ["pack", "send"]),
        (f"{MODULE}:send", ["send"]),
        (f"other={MODULE}:undeclared", ["other"]),
        (f"other={MODULE}:send", ["other"]),
    ],
)
def test_a_reference_names_workers(reference: str, types: list[str]) -> None:
    assert [worker.type for worker in find(reference)] == types


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no.such.module", "no module"),
        (f"{MODULE}:none", "no function"),
        (f"{MODULE}:undeclared", "does not say"),
        ("json", "declares no workers"),
        (f"x={MODULE}", "declares no workers"),
    ],
)
def test_a_reference_that_names_no_worker_says_why(reference: str, message: str) -> None:
    with pytest.raises(ShiftworkError, match=message):
        list(find(reference))


@pytest.mark.parametrize(
    ("options", "capacity"),
    [
        ({}, 1),
        ({"batch_size": 5}, 5),
        ({"processes": 3}, 3),
        ({"batch_size": 5, "processes": 3}, 5),
    ],
)
def test_the_capacity_follows_from_batch_size_and_processes(
    options: dict[str, Any], capacity: int
) -> None:
    assert TaskWorker("x", task_functions.pack, **options).capacity == capacity


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"processes": -1}, {"poll_interval_s": 0}])
def test_a_worker_that_could_never_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        TaskWorker("x", task_functions.pack, **options)
