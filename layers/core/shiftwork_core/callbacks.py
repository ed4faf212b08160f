"""The interface for authors of Python callbacks: `@callback`, `Job`, `Retry`, `Failure`.

    @callback("documents.analyse")
    def analyse(job: Job) -> dict:
        ...

The functions of a project's `callbacks/*.py` are registered when RunJobs starts. One that
works on many rows at a time gets all jobs of a block:

    @callback("rows.load", block=True)
    def load(jobs: list[Job]) -> list[dict | Exception]:
        ...
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.texts import text_of
from shiftwork_core.ports.world import StopSignal

logger = logging.getLogger("shiftwork.callbacks")


class Retry(Exception):
    """Recoverable: the job is retried, after `delay_s` seconds or by its type's back-off."""

    def __init__(self, message: str = "", delay_s: float | None = None) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class Failure(Exception):
    """Unrecoverable: the job fails at once, and its request by the step's `on_failure`."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a job, as its callback sees it.

    `fence` rises with every attempt at the job: a store that remembers the highest it has seen can
    refuse an attempt that was declared lost and still runs. `job_key` is the same for every attempt
    at the job: use it where an effect must happen once.
    """

    params: Json
    extras: JsonObject
    item: Json
    attempt: int
    request_id: str
    attempt_id: str
    name: str
    fence: int
    logger: logging.LoggerAdapter[logging.Logger]
    stop: StopSignal

    @property
    def job_key(self) -> str:
        """Return the id that all attempts of this job share."""
        return self.attempt_id.rsplit(".", 1)[0]

    @property
    def is_stopping(self) -> bool:
        """Whether to give up: the request was cancelled, the time is over, or the lease is lost."""
        return self.stop.is_set()


#: What a callback says of one job of many: its result, or an error as it would raise it.
Said = JsonObject | None | Exception
Callback = Callable[[Job], JsonObject | None]
BlockCallback = Callable[[list[Job]], Sequence[Said]]

#: Every callback of this process by its name; one that does many jobs at once is a `PerBlock`.
CALLBACKS: dict[str, Callback] = {}
#: Why modules of callbacks cannot be imported, by their names.
BROKEN_MODULES: dict[str, str] = {}


@overload
def callback(name: str) -> Callable[[Callback], Callback]: ...


@overload
def callback(name: str, *, block: Literal[True]) -> Callable[[BlockCallback], BlockCallback]: ...


def callback(name: str, *, block: bool = False) -> Callable[[Any], Any]:
    """Register the decorated function as the callback of the job type `name`.

    With `block` it gets a list of jobs, those of a block that are to be done, and returns a list:
    for each job, in their order, its result, or a `Retry`, a `Failure` or another exception. What
    it raises is the outcome of all of them. The type's `timeout_s` is then the time of the call.

    Raises
    ------
    ValueError
        If another function has the name.
    """

    def register(function: Any) -> Any:
        other: Any = CALLBACKS.get(name)
        other = other.function if isinstance(other, PerBlock) else other
        if other is not None and other.__qualname__ != function.__qualname__:
            raise ValueError(
                f"two callbacks are named {name!r}: "
                f"{other.__module__}.{other.__qualname__} and "
                f"{function.__module__}.{function.__qualname__}"
            )
        CALLBACKS[name] = PerBlock(function) if block else function
        return function

    return register


@dataclass(frozen=True, slots=True)
class PerBlock:
    """A callback that does many jobs by one call."""

    function: BlockCallback

    def __call__(self, job: Job) -> JsonObject | None:
        """Do a job that is in no block."""
        [said] = self.do([job])
        if isinstance(said, Exception):
            raise said
        return said

    def do(self, jobs: list[Job]) -> Sequence[Said]:
        """Do the jobs; return what became of each.

        Raises
        ------
        Failure
            If it has not said one thing for each.
        """
        said, count = self.function(jobs), len(jobs)
        if isinstance(said, (list, tuple)) and len(said) == count:
            return said
        what = len(said) if isinstance(said, (list, tuple)) else type(said).__name__
        raise Failure(
            f"the callback was given {count} jobs and returned {what}: return a list, with "
            "a result or an exception for each job, in their order"
        )


def register_all(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that each registers its callbacks.

    A module that cannot be imported takes only its own callbacks with it: their jobs fail, and say
    why. Without this, no job of the deployment would run.
    """
    for module in pkgutil.iter_modules(path, f"{package}."):
        before = dict(CALLBACKS)
        try:
            importlib.import_module(module.name)
        except (Exception, SystemExit) as error:  # Also of a module that exits.
            logger.exception("callbacks cannot be imported", extra={"module_name": module.name})
            CALLBACKS.clear()
            CALLBACKS.update(before)
            BROKEN_MODULES[module.name] = f"{type(error).__name__}: {text_of(error)}{_at(error)}"


def _at(error: BaseException) -> str:
    """Return the line of a module by which it cannot be imported; a SyntaxError says it itself."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "importlib" not in frame.filename][1:]
    return f" (at {own[-1].filename.rpartition('/')[2]}:{own[-1].lineno})" if own else ""
