"""Run a job by calling a callback of this deployment: target `python`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from itertools import count
from pathlib import PurePath
from typing import Any

from shiftwork_core.adapters.targets.printed import printed_to
from shiftwork_core.callbacks import (
    BROKEN_MODULES,
    CALLBACKS,
    Callback,
    Failure,
    Job,
    PerBlock,
    Retry,
)
from shiftwork_core.domain.requests.backoff import RetryPolicy
from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.outcomes import Failed, JobError, Outcome, Retryable, completed
from shiftwork_core.domain.texts import text_of
from shiftwork_core.ports.world import DoAtOnce, JobInput, JobTarget

logger = logging.getLogger("shiftwork.callbacks")

#: Folders of the platform, of installed packages and of Python itself.
_NOT_AUTHORS = {
    *("shiftwork_core", "shiftwork_platform", "site-packages"),
    f"python{sys.version_info.major}.{sys.version_info.minor}",
}

#: Returns the callback of a name; None if there is none.
CallbackOf = Callable[[str], Callback | None]


class JobLog(logging.LoggerAdapter[logging.Logger]):
    """A job's logger: its lines carry the job's keys, whichever thread writes them and when.

    Each has a number, `line`, so that no two are alike. A line that is written once the outcome is
    no longer wanted says so: `is_stopping`.
    """

    def __init__(self, job: JobInput) -> None:
        super().__init__(logger, job.attempt.log_keys)
        self._stop = job.stop
        self._numbers = count(1)

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Add the job's keys to those of the line."""
        extra = {**(kwargs.get("extra") or {}), **(self.extra or {}), "line": next(self._numbers)}
        if self._stop.is_set():
            extra["is_stopping"] = True
        return msg, {**kwargs, "extra": extra}


class PythonTarget(JobTarget):
    """Calls the callback of the job type's name, as `callback_of` finds it."""

    def __init__(self, callback_of: CallbackOf = CALLBACKS.get) -> None:
        self._callback_of = callback_of

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        """Call it. `Retry` is recoverable, `Failure` is not; of others the type's policy says."""
        function = self._callback_of(job_type.name)
        if function is None:
            return Failed(_unknown(job_type.name))
        log = JobLog(job)
        try:
            with printed_to(log):
                result = function(_job_of(job, log))
        except BaseException as error:  # A callback that exits ends itself, and not the batch.
            return _outcome_of(error, log, job_type.retry)
        return completed(result)

    def at_once(self, job_type: JobType) -> DoAtOnce | None:
        """Return how a callback for blocks does many jobs."""
        function = self._callback_of(job_type.name)
        return (
            partial(_do_at_once, function, job_type.retry)
            if isinstance(function, PerBlock)
            else None
        )


def _do_at_once(function: PerBlock, retry: RetryPolicy, jobs: Sequence[JobInput]) -> list[Outcome]:
    logs = [JobLog(job) for job in jobs]
    try:
        with printed_to(logs[0]):
            said = function.do(list(map(_job_of, jobs, logs)))
    except BaseException as error:  # As above.
        return [_outcome_of(error, logs[0], retry)] * len(jobs)
    return [
        _outcome_of(one, log, retry) if isinstance(one, Exception) else completed(one)
        for one, log in zip(said, logs, strict=True)
    ]


def _job_of(job: JobInput, log: JobLog) -> Job:
    """Return the job as its callback sees it."""
    attempt = job.attempt
    return Job(
        params=job.params,
        extras=job.extras,
        item=job.item,
        attempt=attempt.key.attempt,
        request_id=attempt.request_id,
        attempt_id=attempt.attempt_id,
        name=attempt.name,
        fence=attempt.fence,
        logger=log,
        stop=job.stop,
    )


def _outcome_of(error: BaseException, log: JobLog, retry: RetryPolicy) -> Outcome:
    """Return the outcome of a job whose callback has raised, or returned, an exception."""
    match error:
        case Retry():
            log.info("asks for a retry: %s", text_of(error))
            return Retryable(JobError("Retry", text_of(error)), error.delay_s)
        case Failure():
            log.info("Failure: %s", text_of(error))
            return Failed(JobError("Failure", text_of(error)))
        case _:
            log.error("the callback raised %s", type(error).__name__, exc_info=error)
            told = JobError(type(error).__name__, text_of(error) + _place_of(error))
            return Retryable(told) if retry.retries(_names_of(error)) else Failed(told)


def _names_of(error: BaseException) -> list[str]:
    """Return the names of an exception's class and of its bases, short and with their modules."""
    return [
        name
        for base in type(error).__mro__
        for name in (base.__name__, f"{base.__module__}.{base.__qualname__}")
    ]


def _place_of(error: BaseException) -> str:
    """Return the line of the author's code that an exception comes from, as its message shows it.

    It is the last line on the way that is not of an installed package.
    """
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = PurePath(trace.tb_frame.f_code.co_filename)
        if _NOT_AUTHORS.isdisjoint(file.parts):
            place = f" (at {'/'.join(file.parts[-2:])}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _unknown(name: str) -> JobError:
    """Return the error of a job for which there is no callback."""
    if BROKEN_MODULES:
        broken = "; ".join(f"{module}: {why}" for module, why in BROKEN_MODULES.items())
        message = (
            f"no callback is named {name!r}, and not all modules of callbacks can be imported "
            f"({broken}); mend them, deploy, and retry the request"
        )
        return JobError("CallbackNotImported", message)
    known = ", ".join(sorted(CALLBACKS)) or "none"
    message = (
        f"no callback is named {name!r} (there are: {known}); "
        "add it to the project's callbacks/, which `shiftwork dev` loads and others deploy"
    )
    return JobError("UnknownCallback", message)
