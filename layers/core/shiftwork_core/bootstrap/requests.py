"""Build the services of requests: advance, run jobs, record outcomes, and serve the API."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core.bootstrap import stores, watch, world
from shiftwork_core.domain.requests.definitions import Target

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from shiftwork_core.domain.payloads import Json
    from shiftwork_core.domain.requests.budgets import Budget
    from shiftwork_core.ports.world import JobTarget
    from shiftwork_core.services.requests.advance import RequestAdvancer
    from shiftwork_core.services.requests.barrier import StepBarrier
    from shiftwork_core.services.requests.cancel import Canceller
    from shiftwork_core.services.requests.definitions import Definitions
    from shiftwork_core.services.requests.executions import Executions
    from shiftwork_core.services.requests.manifests import Manifests
    from shiftwork_core.services.requests.outcomes import OutcomeRecorder
    from shiftwork_core.services.requests.payloads import Payloads
    from shiftwork_core.services.requests.records import RequestRecords
    from shiftwork_core.services.requests.requests import CheckSchema, Requests
    from shiftwork_core.services.requests.run_jobs import BatchRunner


@cache
def definitions() -> Definitions:
    """Return the service of definitions."""
    from shiftwork_core.services.requests.definitions import Definitions

    return Definitions(stores.definitions(), world.now)


@cache
def payloads() -> Payloads:
    """Return the service that packs JSON into rows."""
    from shiftwork_core.services.requests.payloads import Payloads

    return Payloads(world.blobs(), world.settings().retention)


@cache
def records() -> RequestRecords:
    """Return where requests are kept: rows, attempts, definitions and payloads."""
    from shiftwork_core.services.requests.records import RequestRecords

    return RequestRecords(
        requests=stores.requests(),
        jobs=stores.jobs(),
        definitions=definitions(),
        payloads=payloads(),
        manifests=manifests,
    )


@cache
def manifests() -> Manifests:
    """Return the manifests that requests may use."""
    from shiftwork_core.adapters.aws.manifests import S3ManifestSource
    from shiftwork_core.services.requests.manifests import Manifests

    settings = world.settings()
    source = S3ManifestSource(lambda: world.client("s3"))
    return Manifests(source, payloads(), settings.may_read_manifest)


@cache
def canceller() -> Canceller:
    """Return the canceller: it cancels the attempts of an ended request that have not started."""
    from shiftwork_core.services.requests.cancel import Canceller

    return Canceller(stores.requests(), stores.jobs(), world.machine(), world.now)


@cache
def recorder() -> OutcomeRecorder:
    """Return the recorder: it writes outcomes, and the retries and failures they lead to."""
    from shiftwork_core.services.requests.outcomes import OutcomeRecorder

    return OutcomeRecorder(
        records=records(),
        limits=stores.limits(),
        watch=watch.watch(),
        queue=world.wake_queue(),
        canceller=canceller(),
        runtime=world.runtime(),
    )


@cache
def executions() -> Executions:
    """Return the service that starts executions of the state machine."""
    from shiftwork_core.services.requests.executions import Executions

    return Executions(
        stores.requests(), world.machine(), world.wake_queue(), world.runtime(), time.sleep
    )


@cache
def barrier() -> StepBarrier:
    """Return the barrier at which an execution waits for a step's jobs."""
    from shiftwork_core.services.requests.barrier import StepBarrier

    return StepBarrier(
        records=records(),
        machine=world.machine(),
        executions=executions(),
        recorder=recorder(),
        runtime=world.runtime(),
    )


@cache
def advancer() -> RequestAdvancer:
    """Return the advancer: it settles a request's step and plans the next."""
    from shiftwork_core.adapters.expressions import search
    from shiftwork_core.adapters.threads import side_by_side
    from shiftwork_core.services.requests.advance import RequestAdvancer
    from shiftwork_core.services.requests.call import BatchCalls
    from shiftwork_core.services.requests.cleanup import RequestCleaner
    from shiftwork_core.services.requests.dispatch import Dispatcher
    from shiftwork_core.services.requests.plan import StepPlanner

    runtime = world.runtime()
    planner = StepPlanner(records(), recorder(), search, runtime)
    calls = BatchCalls(world.batch_caller(), side_by_side, world.now)
    return RequestAdvancer(
        records=records(),
        planner=planner,
        cleaner=RequestCleaner(records(), planner, recorder(), canceller(), runtime),
        barrier=barrier(),
        dispatcher=Dispatcher(records(), calls, executions(), runtime),
        runtime=runtime,
    )


@cache
def job_target(target: Target) -> JobTarget | None:
    """Return the target of that name; None for the one whose jobs workers poll for."""
    match target:
        case Target.PYTHON:
            from shiftwork_core.adapters.targets.python import PythonTarget

            return PythonTarget()
        case Target.HTTP:
            from shiftwork_core.adapters.expressions import search
            from shiftwork_core.adapters.named_services import NamedServices
            from shiftwork_core.adapters.targets.http import HttpTarget

            services = NamedServices(world.settings().services)
            return HttpTarget(services, search, world.now)
        case Target.LAMBDA:
            from shiftwork_core.adapters.targets.functions import LambdaTarget

            return LambdaTarget(_patient_lambda_client())
        case Target.WORKER:
            return None


def _patient_lambda_client() -> LambdaClient:
    from shiftwork_core.adapters.aws.idle_connections import probe_idle_connections

    client: LambdaClient = world.patient_client("lambda")
    probe_idle_connections(client)
    return client


@cache
def _logged_target(target: Target) -> JobTarget | None:
    """Return the target, whose lines in RunJobs' log carry the keys of the job."""
    from shiftwork_core.adapters.targets.logged import LoggedTarget
    from shiftwork_core.telemetry import logger

    found = job_target(target)
    return found and LoggedTarget(found, logger.thread_safe_append_keys)


@cache
def batch_runner() -> BatchRunner:
    """Return the runner of batches of jobs."""
    from shiftwork_core.adapters.threads import side_by_side
    from shiftwork_core.services.requests.held import BatchHost
    from shiftwork_core.services.requests.run_jobs import BatchRunner

    return BatchRunner(
        records=records(),
        recorder=recorder(),
        barrier=barrier(),
        host=BatchHost(
            target_for=_logged_target,
            side_by_side=side_by_side,
            worker_id=os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "run_jobs"),
            sleep=time.sleep,
            search=_search,
        ),
        runtime=world.runtime(),
    )


def _search(expression: str, value: Json, budget: Budget) -> Json:
    """Evaluate an expression; few batches need that."""
    from shiftwork_core.adapters.expressions import search

    return search(expression, value, budget)


def service(check_schema: CheckSchema) -> Requests:
    """Return the service behind the API's requests."""
    from shiftwork_core.services.requests.requests import Requests

    return Requests(
        records=records(),
        executions=executions(),
        canceller=canceller(),
        check_schema=check_schema,
        runtime=replace(world.runtime(), new_id=world.new_id),
        is_enabled=world.settings().is_enabled,
    )
