"""Callbacks that only the tests' stack has: conftest.py adds them to the deployed RunJobs.

The `params` of its job tell a probe what to do, so that each test writes its own scenario into
its own request type.
"""

from __future__ import annotations

import os
import signal
import time
from functools import cache
from typing import Any

import boto3

from shiftwork_core.callbacks import Failure, Job, Retry, callback

#: A gate that nobody opens fails its job, rather than keeping the stack from ending.
MAX_WAIT_S = 60.0
_TICK_S = 0.1


@callback("probe.note")
@callback("probe.one-a-batch")
def note(job: Job) -> dict[str, Any]:
    """Return its input under the job's name."""
    return {
        job.name: {
            "params": job.params,
            "extras": sorted(job.extras),
            "item": job.item,
            "attempt": job.attempt,
        }
    }


@callback("probe.echo")
def echo(job: Job) -> dict[str, Any]:
    """Return its params, through which a test chooses the result."""
    return dict(job.params)


@callback("probe.sleep")
@callback("probe.hurried")
def sleep(job: Job) -> dict[str, Any]:
    """Work for `seconds`, unless it is told to stop."""
    until = time.monotonic() + job.params["seconds"]
    while (left_s := until - time.monotonic()) > 0 and not job.is_stopping:
        time.sleep(min(left_s, _TICK_S))
    return {job.name: {"was_stopped": job.is_stopping}}


@callback("probe.stubborn")
def stubborn(job: Job) -> dict[str, Any]:
    """Go on, at the first attempt, although it is told to stop; return the process's number."""
    until = time.monotonic() + MAX_WAIT_S
    while job.attempt == 1 and not job.is_stopping and time.monotonic() < until:
        time.sleep(_TICK_S)
    if job.attempt == 1:
        job.logger.info("goes on in process %d", os.getpid())
        time.sleep(MAX_WAIT_S)
    return {job.name: os.getpid()}


@callback("probe.flaky")
def flaky(job: Job) -> dict[str, Any]:
    """Ask for a retry `failures` times, each after `delay_s` (by default the policy's).

    With a negative number fail at once.
    """
    if job.params["failures"] < 0:
        raise Failure(f"{job.name} can never work")
    if job.attempt <= job.params["failures"]:
        raise Retry(f"down at attempt {job.attempt}", job.params.get("delay_s"))
    return {job.name: job.attempt}


@callback("probe.mended", block=True)
def mended(jobs: list[Job]) -> list[dict[str, Any] | Exception]:
    """Fail the first attempt at each job whose item is said to be `bad`; return the others'."""
    return [
        Failure(f"{job.name} is bad")
        if job.item in job.params["bad"] and job.attempt == 1
        else {"item": job.item, "attempt": job.attempt}
        for job in jobs
    ]


@callback("probe.fail")
def fail(job: Job) -> dict[str, Any]:
    """Fail without a retry."""
    raise Failure(job.params.get("message", "this can never work"))


@callback("probe.raise")
def raise_untyped(job: Job) -> dict[str, Any]:
    """Raise what no callback should, `failures` times."""
    if job.attempt <= job.params["failures"]:
        raise ZeroDivisionError(f"a bug, met by attempt {job.attempt}")
    return {job.name: job.attempt}


@callback("probe.awkward")
def awkward(job: Job) -> Any:
    """End in a way that is hard to record, which `ends` names."""
    match job.params["ends"]:
        case "half a character":
            raise ValueError("half a character: \ud83d")
        case "a long message":
            raise ValueError("x" * 100_000)
        case "an exit":
            raise SystemExit("the callback ends the program")
        case "no message":
            raise _NoMessage
        case "a deep result":
            deep: dict[str, Any] = {}
            for _ in range(5_000):
                deep = {"in": deep}
            return deep


class _NoMessage(Exception):
    """An exception that cannot say what happened."""

    def __str__(self) -> str:
        """Raise as well."""
        raise RuntimeError("no text either")


@callback("probe.large")
def large(job: Job) -> dict[str, Any]:
    """Return a text of `size` characters, and how much it found in the extras."""
    found = {name: len(value) for name, value in job.extras.items() if isinstance(value, str)}
    return {job.name: job.params["letter"] * job.params["size"], f"{job.name}-found": found}


@callback("probe.die")
def die(job: Job) -> dict[str, Any]:
    """Kill this process at the first attempt."""
    if job.attempt == 1:
        job.logger.info("is killed now")
        os.kill(os.getpid(), signal.SIGKILL)
    return {job.name: job.attempt}


@callback("probe.wait")
def wait(job: Job) -> dict[str, Any]:
    """Wait until the test opens the gate, or the job is told to stop."""
    _wait_at(job)
    return {job.name: {"was_stopped": job.is_stopping}}


@callback("probe.wait-then-fail")
def wait_then_fail(job: Job) -> dict[str, Any]:
    """Wait for the gate, then fail without a retry."""
    _wait_at(job)
    raise Failure("this can never work")


@callback("probe.wait-when-retried")
def wait_when_retried(job: Job) -> dict[str, Any]:
    """Ask for one retry; its second attempt waits for the gate."""
    if job.attempt == 1:
        raise Retry("once more", 0)
    _wait_at(job)
    return {job.name: job.attempt}


@callback("probe.mendable")
def mendable(job: Job) -> dict[str, Any]:
    """Fail without a retry until the test has opened the gate."""
    if not _is_open(job):
        raise Failure("not fixed yet")
    return {job.name: job.attempt}


@callback("probe.log")
def log(job: Job) -> dict[str, Any]:
    """Write a line to its log."""
    job.logger.info("found %s", job.params["word"])
    return {}


def _wait_at(job: Job) -> None:
    until = time.monotonic() + MAX_WAIT_S
    while not job.is_stopping and not _is_open(job):
        if time.monotonic() > until:
            raise Failure("nobody opened the gate")
        time.sleep(_TICK_S)


def _is_open(job: Job) -> bool:
    key = f"documents/gates/{job.params['gate']}"
    found = _s3().list_objects_v2(Bucket=os.environ["BLOBS_BUCKET"], Prefix=key, MaxKeys=1)
    return bool(found["KeyCount"])


@cache
def _s3() -> Any:
    return boto3.client("s3")
