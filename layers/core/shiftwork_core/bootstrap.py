"""The composition root: the only place that builds clients and joins adapters to services.

Everything is built on first use and kept for the life of the process, so that a function pays only
for what it calls.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from shiftwork_core.domain.requests.definitions import Target
from shiftwork_core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from shiftwork_core.adapters.aws.blobs import S3BlobStore
    from shiftwork_core.adapters.aws.calls import LambdaBatchInvoker, SqsQueue, StepFunctionsMachine
    from shiftwork_core.adapters.dynamodb.definitions import DynamoDefinitionStore
    from shiftwork_core.adapters.dynamodb.jobs import DynamoJobStore
    from shiftwork_core.adapters.dynamodb.lifecycle_jobs import DynamoLifecycleJobStore
    from shiftwork_core.adapters.dynamodb.limits import DynamoLimitStore
    from shiftwork_core.adapters.dynamodb.requests import DynamoRequestStore
    from shiftwork_core.adapters.dynamodb.workers import DynamoTokenStore, DynamoWorkerStore
    from shiftwork_core.adapters.dynamodb.workspaces import DynamoWorkspaceStore
    from shiftwork_core.domain.payloads import Json, JsonObject
    from shiftwork_core.domain.workers.workers import Liveness
    from shiftwork_core.errors import FaultAt
    from shiftwork_core.ports.stores import JobTarget, WorkerWatch
    from shiftwork_core.ports.workspaces import Driver as WorkspaceDriver
    from shiftwork_core.services.polling.tasks import Tasks
    from shiftwork_core.services.requests.advance import Driver
    from shiftwork_core.services.requests.cancel import Canceller
    from shiftwork_core.services.requests.definitions import Definitions
    from shiftwork_core.services.requests.outcomes import Recorder
    from shiftwork_core.services.requests.payloads import Payloads
    from shiftwork_core.services.requests.requests import CheckSchema, Requests
    from shiftwork_core.services.requests.run_jobs import BatchRunner
    from shiftwork_core.services.sweep import Sweeper
    from shiftwork_core.services.workers.access import Access
    from shiftwork_core.services.workers.explain import WorkerExplainer
    from shiftwork_core.services.workers.reaper import Undertaker
    from shiftwork_core.services.workers.records import Workers
    from shiftwork_core.services.workers.register import Registrations

#: A batch has up to 100 jobs, each with a thread that writes. `adapters.aws.retries` tries again.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 1},
    max_pool_connections=100,
    connect_timeout=5,
    read_timeout=20,
)


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings.from_env()


#: The jobs of a batch are threads that may be first to need a client, and boto3's default session
#: builds one client at a time.
_building = Lock()
_clients: dict[str, Any] = {}


def client(service: str) -> Any:
    """Return the process's client of an AWS service. Typed by whoever takes it."""
    from shiftwork_core.adapters.aws.calls import retries

    with _building:
        if service not in _clients:
            made: Any = boto3.client(service, config=_CONFIG)  # type: ignore[call-overload]
            made.meta.events.register_first("needs-retry", retries(random.random))
            _clients[service] = made
        return _clients[service]


def now() -> datetime:
    """Return the time now."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return a random UUID."""
    return str(uuid.uuid4())


def new_claim_id() -> str:
    """Return an id that need only differ from those of other claims of one attempt."""
    return uuid.uuid4().hex[:12]


@cache
def request_store() -> DynamoRequestStore:
    """Return the store of requests and steps."""
    from shiftwork_core.adapters.dynamodb.requests import DynamoRequestStore

    return DynamoRequestStore(
        client("dynamodb"), settings().requests_table, retention=settings().retention
    )


@cache
def job_store() -> DynamoJobStore:
    """Return the store of attempts."""
    from shiftwork_core.adapters.dynamodb.jobs import DynamoJobStore

    return DynamoJobStore(
        client("dynamodb"),
        settings().jobs_table,
        requests_table=settings().requests_table,
        limits_table=settings().limits_table,
        retention=settings().retention,
    )


@cache
def limit_store() -> DynamoLimitStore:
    """Return the store of limited job types' slots and rates."""
    from shiftwork_core.adapters.dynamodb.limits import DynamoLimitStore

    return DynamoLimitStore(client("dynamodb"), settings().limits_table)


@cache
def definition_store() -> DynamoDefinitionStore:
    """Return the store of definitions."""
    from shiftwork_core.adapters.dynamodb.definitions import DynamoDefinitionStore

    return DynamoDefinitionStore(client("dynamodb"), settings().definitions_table)


@cache
def worker_store() -> DynamoWorkerStore:
    """Return the store of worker records."""
    from shiftwork_core.adapters.dynamodb.workers import DynamoWorkerStore

    return DynamoWorkerStore(
        client("dynamodb"), settings().workers_table, kept=settings().worker_retention
    )


@cache
def token_store() -> DynamoTokenStore:
    """Return the store of tokens that are used up."""
    from shiftwork_core.adapters.dynamodb.workers import DynamoTokenStore

    return DynamoTokenStore(client("dynamodb"), settings().tokens_table)


@cache
def workspace_store() -> DynamoWorkspaceStore:
    """Return the store of workspaces."""
    from shiftwork_core.adapters.dynamodb.workspaces import DynamoWorkspaceStore

    return DynamoWorkspaceStore(client("dynamodb"), settings().workspaces_table)


@cache
def lifecycle_job_store() -> DynamoLifecycleJobStore:
    """Return the store of workspaces' lifecycle jobs and their logs."""
    from shiftwork_core.adapters.dynamodb.lifecycle_jobs import DynamoLifecycleJobStore

    return DynamoLifecycleJobStore(
        client("dynamodb"),
        settings().lifecycle_jobs_table,
        logs_table=settings().lifecycle_logs_table,
        workspaces_table=settings().workspaces_table,
        retention=settings().retention,
    )


@cache
def blob_store() -> S3BlobStore:
    """Return the store of what is too large for a row."""
    from shiftwork_core.adapters.aws.blobs import S3BlobStore

    return S3BlobStore(lambda: client("s3"), settings().blobs_bucket)


@cache
def machine() -> StepFunctionsMachine:
    """Return the state machine."""
    from shiftwork_core.adapters.aws.calls import StepFunctionsMachine

    return StepFunctionsMachine(lambda: client("stepfunctions"), settings().state_machine_arn)


@cache
def queue() -> SqsQueue:
    """Return the wake queue."""
    from shiftwork_core.adapters.aws.calls import SqsQueue

    return SqsQueue(lambda: client("sqs"), settings().wake_queue_url)


@cache
def batch_invoker() -> LambdaBatchInvoker:
    """Return what hands batches to RunJobs."""
    from shiftwork_core.adapters.aws.calls import LambdaBatchInvoker

    return LambdaBatchInvoker(client("lambda"), settings().run_jobs_function)


@cache
def definitions_service() -> Definitions:
    """Return the service of definitions."""
    from shiftwork_core.services.requests.definitions import Definitions

    return Definitions(definition_store(), now)


@cache
def payloads() -> Payloads:
    """Return what packs JSON into rows."""
    from shiftwork_core.services.requests.payloads import Payloads

    return Payloads(blob_store())


@cache
def canceller() -> Canceller:
    """Return what cancels the jobs that have not started."""
    from shiftwork_core.services.requests.cancel import Canceller

    return Canceller(request_store(), job_store(), machine(), now)


def late(build: Callable[[], Any]) -> Any:
    """Return what stands for an object that is built when it is first used, often never.

    Typed by whoever takes it. `build` keeps what it has built.
    """

    class Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(build(), name)

    return Late()


@cache
def worker_watch() -> WorkerWatch:
    """Return what keeps the record of workers; most functions never tell it anything."""
    watch: WorkerWatch = late(workers)
    return watch


@cache
def recorder() -> Recorder:
    """Return what records outcomes."""
    from shiftwork_core.services.requests.outcomes import Recorder

    return Recorder(
        store=request_store(),
        jobs=job_store(),
        limits=limit_store(),
        watch=worker_watch(),
        definitions=definitions_service(),
        payloads=payloads(),
        machine=machine(),
        queue=queue(),
        canceller=canceller(),
        clock=now,
        draw=random.random,
        lease=settings().lease,
    )


@cache
def driver() -> Driver:
    """Return what drives requests."""
    import jmespath

    from shiftwork_core.services.requests.advance import Driver

    return Driver(
        store=request_store(),
        jobs=job_store(),
        blobs=blob_store(),
        definitions=definitions_service(),
        payloads=payloads(),
        machine=machine(),
        recorder=recorder(),
        canceller=canceller(),
        search=jmespath.search,
        clock=now,
        lease=settings().lease,
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

            return HttpTarget(settings().services, jmespath.search, now)
        case Target.LAMBDA:
            from shiftwork_core.adapters.targets.functions import LambdaTarget

            # A function may take its whole time to answer, and must not be invoked twice for it.
            patient = Config(retries={"total_max_attempts": 1}, read_timeout=900)
            with _building:
                return LambdaTarget(boto3.client("lambda", config=patient))
        case Target.WORKER:
            return None


@cache
def batch_runner() -> BatchRunner:
    """Return what runs batches of jobs."""
    from shiftwork_core.adapters.threads import side_by_side
    from shiftwork_core.services.requests.run_jobs import BatchRunner

    return BatchRunner(
        store=request_store(),
        jobs=job_store(),
        definitions=definitions_service(),
        payloads=payloads(),
        recorder=recorder(),
        machine=machine(),
        target_for=job_target,
        side_by_side=side_by_side,
        clock=now,
        new_id=new_claim_id,
        lease=settings().lease,
        worker_id=os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "run_jobs"),
    )


@cache
def access() -> Access:
    """Return what knows and signs tokens."""
    from shiftwork_core.adapters.aws.secrets import Secret
    from shiftwork_core.services.workers.access import Access

    return Access(Secret(client("secretsmanager"), settings().token_secret), time.monotonic)


@cache
def liveness() -> Liveness:
    """Return how long a silent worker is believed alive."""
    from shiftwork_core.domain.workers.workers import Liveness

    return Liveness.of(settings().worker_offline, settings().worker_retention)


@cache
def workers() -> Workers:
    """Return the worker record."""
    from shiftwork_core.services.workers.records import Workers

    return Workers(worker_store(), now, liveness())


@cache
def registrations() -> Registrations:
    """Return what lets workers in."""
    from shiftwork_core.services.workers.register import Registrations

    return Registrations(workers(), token_store(), access(), undertaker, now, new_id)


@cache
def worker_explainer() -> WorkerExplainer:
    """Return what tells why a worker is given work or none."""
    from shiftwork_core.services.workers.explain import WorkerExplainer

    return WorkerExplainer(definitions_service(), job_store(), limit_store(), now, liveness())


@cache
def undertaker() -> Undertaker:
    """Return what looks whether workers live."""
    from shiftwork_core.services.workers.reaper import Undertaker

    return Undertaker(
        workers=worker_store(), jobs=job_store(), recorder=recorder(), clock=now, rules=liveness()
    )


@cache
def tasks_service() -> Tasks:
    """Return the service of polled jobs."""
    from shiftwork_core.services.polling.claim import Taker
    from shiftwork_core.services.polling.limits import Limiter
    from shiftwork_core.services.polling.tasks import Tasks

    limiter = Limiter(job_store(), limit_store(), recorder(), now)
    return Tasks(
        store=request_store(),
        jobs=job_store(),
        definitions=definitions_service(),
        payloads=payloads(),
        recorder=recorder(),
        taker=Taker(
            store=request_store(),
            jobs=job_store(),
            definitions=definitions_service(),
            limiter=limiter,
            clock=now,
            draw=random.random,
            tally=_count_claims,
            soonest=settings().lease,
        ),
        watch=worker_watch(),
        clock=now,
        new_id=new_claim_id,
    )


def _count_claims(counts: dict[str, int]) -> None:
    from shiftwork_core.telemetry import count

    count(counts, "Tasks")


@cache
def sweeper() -> Sweeper:
    """Return what sweeps."""
    from shiftwork_core.services.sweep import Sweeper

    return Sweeper(
        store=request_store(),
        jobs=job_store(),
        driver=driver(),
        machine=machine(),
        queue=queue(),
        undertaker=undertaker(),
        clock=now,
        lease=settings().lease,
    )


def requests_service(check_schema: CheckSchema) -> Requests:
    """Return the service behind the API's requests."""
    from shiftwork_core.services.requests.requests import Requests

    return Requests(
        store=request_store(),
        jobs=job_store(),
        definitions=definitions_service(),
        payloads=payloads(),
        machine=machine(),
        queue=queue(),
        canceller=canceller(),
        check_schema=check_schema,
        clock=now,
        new_id=new_id,
        lease=settings().lease,
        is_enabled=settings().is_enabled,
    )


@cache
def driver_for(type: str) -> WorkspaceDriver:
    """Return what switches the workspaces of a kind.

    Raises
    ------
    DriverError
        Final: there is no such kind.
    """
    match type:
        case "ec2":
            from shiftwork_core.adapters.drivers.ec2 import Ec2Driver

            return Ec2Driver(client("ec2"))
        case "ecs":
            from shiftwork_core.adapters.drivers.ecs import EcsDriver

            return EcsDriver(client("ecs"))
        case "rds":
            from shiftwork_core.adapters.drivers.rds import RdsDriver

            return RdsDriver(client("rds"))
        case "request":
            from shiftwork_core.adapters.drivers.request import RequestDriver
            from shiftwork_core.services.requests.submitter import Submitter

            return RequestDriver(Submitter(requests_service(_check_schema_late)))
        case "http":
            import jmespath

            from shiftwork_core.adapters.drivers.http import HttpDriver
            from shiftwork_core.adapters.named_services import NamedServices

            return HttpDriver(NamedServices(settings().services), jmespath.search)
        case _:
            from shiftwork_core.ports.workspaces import DriverError

            message = f"there is no driver {type!r}; give one of ec2, ecs, http, rds, request"
            raise DriverError(message, is_final=True)


def _check_schema_late(schema: JsonObject, value: Json) -> list[FaultAt]:
    """Check params; the edge layer's import takes a while, and most who could need it never do."""
    from shiftwork_core.adapters.schemas import check_schema

    return check_schema(schema, value)
