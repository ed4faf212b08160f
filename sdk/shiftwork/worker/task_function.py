"""Call a user's function with a task's input, and turn what it returns or raises into a result."""

from __future__ import annotations

import asyncio
import inspect
import json
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from shiftwork.api.shapes import JsonObject
from shiftwork.worker.task import Failure, Retry, Task, TaskResult, TaskStatus
from shiftwork.worker.texts import text_of

#: A parameter of one of these names gets that part of the input.
_PARTS = ("params", "extras", "item")


class TaskFunction:
    """A function and the arguments that it needs.

    A parameter gets the task if its type is Task or its name is `task`, and a part of the input if
    its name is `params`, `extras` or `item`. If the only other parameter is a dataclass or pydantic
    model, it is built from all params; otherwise each gets the one of the params with its name.

    Raises
    ------
    TypeError
        If the function has positional-only parameters.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = getattr(function, "__qualname__", repr(function))
        self.is_async = inspect.iscoroutinefunction(function)
        parameters = inspect.signature(function).parameters
        hints = _hints(function)
        self._wanted: dict[str, _Wanted] = {}
        self._takes_rest = False
        for name, parameter in parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                self._takes_rest = True
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                raise TypeError(f"{self.name}: {name!r} cannot be given by name")
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                is_required = parameter.default is parameter.empty
                self._wanted[name] = _Wanted(hints.get(name, Any), is_required)
        own = [n for n, wanted in self._wanted.items() if not wanted.is_task(n) and n not in _PARTS]
        self._whole = own[0] if len(own) == 1 and _is_model(self._wanted[own[0]].type) else None

    def arguments(self, task: Task) -> dict[str, Any]:
        """Return the arguments for a task.

        Raises
        ------
        Failure
            If the input does not fit. A retry would not help.
        """
        params = task.params if isinstance(task.params, dict) else {}
        given: dict[str, Any] = {}
        for name, wanted in self._wanted.items():
            if wanted.is_task(name):
                given[name] = task
                continue
            if name in _PARTS:
                value = getattr(task, name)
            elif name == self._whole:
                value = task.params
            elif name in params:
                value = params[name]
            elif wanted.is_required:
                raise Failure(f"the input has no {name!r}")
            else:
                continue
            try:
                given[name] = _build(wanted.type, value)
            except (TypeError, ValueError) as error:
                raise Failure(f"the input does not fit {name!r}: {error}") from error
        if self._takes_rest:
            given |= {name: value for name, value in params.items() if name not in given}
        return given

    def call(self, task: Task) -> TaskResult:
        """Call a sync function; whatever it raises is a result too."""
        try:
            return result_of(self.function(**self.arguments(task)))
        except BaseException as error:  # It ends the task, and neither thread nor process.
            return failed(error, task)

    async def call_async(self, task: Task) -> TaskResult:
        """Call an async function; whatever it raises is a result too."""
        try:
            return result_of(await self.function(**self.arguments(task)))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # It ends the task, and not the loop.
            return failed(error, task)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A parameter's type, and whether it lacks a default."""

    type: Any
    is_required: bool

    def is_task(self, name: str) -> bool:
        return self.type is Task or (name == "task" and self.type is Any)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError):  # A type that exists only for type checkers.
        return {}


# -- arguments -----------------------------------------------------------------------------------


def _is_model(type_: Any) -> bool:
    return isinstance(type_, type) and (is_dataclass(type_) or hasattr(type_, "model_validate"))


def _build(type_: Any, value: Any) -> Any:
    """Return a JSON value as the type: models are built, in lists and dicts too; others stay.

    Raises
    ------
    TypeError, ValueError
        If a model cannot be built from it.
    """
    if get_origin(type_) in (Union, types.UnionType):
        if value is None and type(None) in get_args(type_):
            return None
        return _build(next((t for t in get_args(type_) if _is_model(t)), Any), value)
    if get_origin(type_) is list and isinstance(value, list):
        return [_build((get_args(type_) or (Any,))[0], entry) for entry in value]
    if get_origin(type_) is dict and isinstance(value, dict):
        return {key: _build(get_args(type_)[1], entry) for key, entry in value.items()}
    if not _is_model(type_) or isinstance(value, type_):
        return value
    if hasattr(type_, "model_validate"):
        return type_.model_validate(value)
    if not isinstance(value, dict):
        raise TypeError(f"{type_.__name__} needs an object, not {value!r:.100}")
    hints = get_type_hints(type_)
    known = {field.name for field in fields(type_) if field.init}
    return type_(**{n: _build(hints[n], value[n]) for n in known & value.keys()})


# -- results -------------------------------------------------------------------------------------


def result_of(returned: Any) -> TaskResult:
    """Return the result that a function's return value means."""
    return returned if isinstance(returned, TaskResult) else TaskResult(output=returned)


def failed(error: BaseException, task: Task) -> TaskResult:
    """Return the result of a function that raised."""
    if isinstance(error, Failure):
        status = TaskStatus.FAILED_WITH_TERMINAL_ERROR
    else:
        status = TaskStatus.FAILED
        if not isinstance(error, Retry):
            with suppress(Exception):  # What cannot be logged fails the task all the same.
                task.logger.error("The task failed.", exc_info=error)
    text = text_of(error)
    is_said = isinstance(error, (Failure, Retry)) and text
    reason = text if is_said else f"{type(error).__name__}: {text}".removesuffix(": ")
    return TaskResult(status, reason=reason)


def as_object(output: Any) -> tuple[JsonObject, int]:
    """Return an output as a JSON object, and its size in bytes.

    Raises
    ------
    TypeError, ValueError
        If it cannot be written as JSON.
    """
    if output is None:
        output = {}
    plain = _plain(output) if _is_model(type(output)) else output
    if not isinstance(plain, Mapping):
        plain = {"result": plain}
    try:
        text = json.dumps(dict(plain), default=_plain, allow_nan=False, ensure_ascii=False)
        return json.loads(text), len(text.encode())
    except RecursionError:
        raise ValueError("the output is nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("the output has half a surrogate pair, which is no text") from None


def _plain(value: Any) -> Any:
    """Return the model as a JSON value."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
