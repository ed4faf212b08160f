"""Declare which function does which tasks (`@worker_task`), and find declared functions."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from shiftwork.api.errors import ShiftworkError

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__shiftwork_worker__"


@dataclass(frozen=True, slots=True)
class TaskWorker:
    """A function that does the tasks of a type.

    Attributes
    ----------
    batch_size
        How many tasks it does at once, and claims in one call; None: `processes`, or 1.
    poll_interval_s
        The shortest wait between two polls that find no task.
    domain
        Claim only tasks of this domain.
    processes
        Do the tasks in this many separate processes: for functions that keep a processor busy.
    """

    type: str
    function: Callable[..., Any]
    batch_size: int | None = None
    poll_interval_s: float = 1.0
    domain: str | None = None
    processes: int = 0

    def __post_init__(self) -> None:
        if (self.batch_size is not None and self.batch_size < 1) or self.processes < 0:
            raise ValueError(f"{self.type}: batch_size must be positive, processes not negative")
        if self.poll_interval_s <= 0:
            raise ValueError(f"{self.type}: poll_interval_s must be positive")

    @property
    def capacity(self) -> int:
        """How many tasks it does at once."""
        return self.batch_size or self.processes or 1


def worker_task(
    type: str,
    *,
    batch_size: int | None = None,
    poll_interval_s: float = 1.0,
    domain: str | None = None,
    processes: int = 0,
) -> Callable[[F], F]:
    """Declare that the decorated function does the tasks of a type; return it unchanged.

    `shiftwork worker run MODULE` and `TaskRunner.start_decorated` find it. TaskWorker describes
    the parameters.
    """

    def declare(function: F) -> F:
        worker = TaskWorker(type, function, batch_size, poll_interval_s, domain, processes)
        setattr(function, _MARK, worker)
        return function

    return declare


def declaration_of(function: object) -> TaskWorker | None:
    """Return the declaration that `worker_task` made for a function, if any."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, TaskWorker) else None


def declared_in(module: ModuleType) -> list[TaskWorker]:
    """Return the module's declared workers, in the order in which it defines them."""
    found = (declaration_of(value) for value in vars(module).values())
    return list({id(worker): worker for worker in found if worker is not None}.values())


def find(reference: str) -> Iterator[TaskWorker]:
    """Yield the workers that a reference names.

    Parameters
    ----------
    reference
        `module`: all workers that it declares. `module:function`: that one.
        `type=module:function`: that function for this type, whatever it declares.

    Raises
    ------
    ShiftworkError
        If there is no such module, function or declaration.
    """
    type_, separator, place = reference.rpartition("=")
    module_name, _, attribute = place.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # The module exists, and one that it imports does not.
        raise ShiftworkError(
            f"There is no module {module_name!r}.",
            "Name it as in an import, from the folder that contains it",
        ) from error
    if not attribute:
        workers = declared_in(module)
        if not workers or separator:
            raise ShiftworkError(
                f"{module_name} declares no workers.",
                f"Decorate functions with @worker_task, or name one: TYPE={module_name}:FUNCTION",
            )
        yield from workers
        return
    function = getattr(module, attribute, None)
    if not callable(function):
        raise ShiftworkError(f"{module_name} has no function {attribute!r}.")
    declared = declaration_of(function)
    if separator:
        yield TaskWorker(type_, function)
    elif declared:
        yield declared
    else:
        raise ShiftworkError(
            f"{place} does not say which tasks it does.",
            f"Decorate it with @worker_task, or write: TYPE={place}",
        )
