"""Requests: what advances them, runs their jobs, records outcomes, and serves their clients."""

from __future__ import annotations

import os
import random
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from shiftwork_core.bootstrap import stores, watch, world
from shiftwork_core.domain.requests.definitions import Target

if TYPE_CHECKING:
    from shiftwork_core.ports.world import JobTarget
    from shiftwork_core.services.requests.advance import RequestAdvancer
    from shiftwork_core.services.requests.barrier import StepBarrier
    from shiftwork_core.services.requests.cancel import Canceller
    from shiftwork_core.services.requests.definitions import Definitions
    from shiftwork_core.services.requests.outcomes import OutcomeRecorder
    from shiftwork_core.services.requests.payloads import Payloads
    from shiftwork_core.services.requests.requests import CheckSchema, Requests
    from shiftwork_core.services.requests.run_jobs import BatchRunner


@cache
def definitions() -> Definitions:
    """Return the service of definitions."""
    from shiftwork_core.services.requests.definitions import Definitions

    return Definitions(stores.definitions(), world.now)


@cache
def payloads() -> Payloads:
    """Return what packs JSON into rows."""
    from shiftwork_core.services.requests.payloads import Payloads

    return Payloads(world.blobs())


@cache
def canceller() -> Canceller:
    """Return what cancels the jobs that have not started."""
    from shiftwork_core.services.requests.cancel import Canceller

    return Canceller(stores.requests(), stores.jobs(), world.machine(), world.now)


@cache
def recorder() -> OutcomeRecorder:
    """Return what records outcomes."""
    from shiftwork_core.services.requests.outcomes import OutcomeRecorder

    return OutcomeRecorder(
        store=stores.requests(),
        jobs=stores.jobs(),
        limits=stores.limits(),
        watch=watch.watch(),
        definitions=definitions(),
        payloads=payloads(),
        queue=world.wake_queue(),
        canceller=canceller(),
        clock=world.now,
        draw=random.random,
        lease=world.settings().lease,
    )


@cache
def barrier() -> StepBarrier:
    """Return the barrier at which an execution waits for a step's jobs."""
    from shiftwork_core.services.requests.barrier import StepBarrier

    return StepBarrier(
        store=stores.requests(),
        jobs=stores.jobs(),
        machine=world.machine(),
        recorder=recorder(),
        clock=world.now,
        lease=world.settings().lease,
    )


@cache
def advancer() -> RequestAdvancer:
    """Return the advancer: it settles a request's step and plans the next."""
    import jmespath

    from shiftwork_core.services.requests.advance import RequestAdvancer

    return RequestAdvancer(
        store=stores.requests(),
        jobs=stores.jobs(),
        blobs=world.blobs(),
        definitions=definitions(),
        payloads=payloads(),
        machine=world.machine(),
        recorder=recorder(),
        canceller=canceller(),
        search=jmespath.search,
        clock=world.now,
        lease=world.settings().lease,
    )


@cache
def job_target(target: Target) -> JobTarget | None:
    """Return what does the jobs of a target; None for those that workers poll for."""
    match target:
        case Target.PYTHON:
            from shiftwork_core.adapters.targets.python import PythonTarget

            return PythonTarget()
        case Target.HTTP:
            import jmespath

            from shiftwork_core.adapters.targets.http import HttpTarget

            return HttpTarget(world.settings().services, jmespath.search, world.now)
        case Target.LAMBDA:
            from shiftwork_core.adapters.targets.functions import LambdaTarget

            # A function may take its whole time to answer, and must not be invoked twice for it.
            patient = Config(retries={"total_max_attempts": 1}, read_timeout=900)
            with world._building:
                return LambdaTarget(boto3.client("lambda", config=patient))
        case Target.WORKER:
            return None


@cache
def batch_runner() -> BatchRunner:
    """Return what runs batches of jobs."""
    from shiftwork_core.adapters.threads import side_by_side
    from shiftwork_core.services.requests.run_jobs import BatchRunner

    return BatchRunner(
        store=stores.requests(),
        jobs=stores.jobs(),
        definitions=definitions(),
        payloads=payloads(),
        recorder=recorder(),
        barrier=barrier(),
        target_for=job_target,
        side_by_side=side_by_side,
        clock=world.now,
        new_id=world.new_claim_id,
        lease=world.settings().lease,
        worker_id=os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "run_jobs"),
    )


def service(check_schema: CheckSchema) -> Requests:
    """Return the service behind the API's requests."""
    from shiftwork_core.services.requests.requests import Requests

    return Requests(
        store=stores.requests(),
        jobs=stores.jobs(),
        definitions=definitions(),
        payloads=payloads(),
        machine=world.machine(),
        queue=world.wake_queue(),
        canceller=canceller(),
        check_schema=check_schema,
        clock=world.now,
        new_id=world.new_id,
        lease=world.settings().lease,
        is_enabled=world.settings().is_enabled,
    )
