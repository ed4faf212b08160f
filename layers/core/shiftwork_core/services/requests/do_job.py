"""Do one job by its target. Whatever goes wrong is an outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable

from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.outcomes import Failed, JobError, Outcome, Retryable
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.texts import text_of
from shiftwork_core.errors import Transient
from shiftwork_core.ports.world import JobInput, JobTarget

logger = logging.getLogger("shiftwork.batches")


def do_job(
    target: JobTarget | None,
    job_type: JobType,
    attempt: Attempt,
    read_input: Callable[[], JobInput],
) -> Outcome:
    """Read the attempt's input, and hand it to the target; return what came of it.

    Raises
    ------
    Transient
        If its input cannot be read now. Nothing has been done then.
    """
    if target is None:
        message = f"RunJobs does no jobs of target {job_type.target.value!r}"
        return Failed(JobError("UnknownTarget", message))
    try:
        job = read_input()
    except Transient:
        raise  # It can be read later.
    except Exception as error:  # Such as an object of the blob store that is gone.
        return mistake("the job's input cannot be read", attempt, error)
    try:
        return target.run(job_type, job)
    except Exception as error:
        return mistake("the target failed", attempt, error)


def mistake(what: str, attempt: Attempt, error: Exception) -> Outcome:
    """Log what is no fault of the job's; return its outcome, which need not wait for a lease."""
    logger.exception(what, extra={"attempt_id": attempt.attempt_id})
    return Retryable(JobError(type(error).__name__, text_of(error)))
