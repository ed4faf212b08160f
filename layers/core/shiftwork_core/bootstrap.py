"""The composition root: the only place that builds clients and joins adapters to services.

Everything is built on first use and kept for the life of the process, so that a function pays only
for what it calls.
"""

from __future__ import annotations

import os
import random
import uuid
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from shiftwork_core.domain.definitions import Target
from shiftwork_core.settings import Settings

if TYPE_CHECKING:
    from shiftwork_core.adapters.aws import LambdaBatchInvoker, SqsQueue, StepFunctionsMachine
    from shiftwork_core.adapters.dynamodb.definitions import DynamoDefinitionStore
    from shiftwork_core.adapters.dynamodb.jobs import DynamoJobStore
    from shiftwork_core.adapters.dynamodb.requests import DynamoRequestStore
    from shiftwork_core.adapters.s3 import S3BlobStore
    from shiftwork_core.ports import JobTarget
    from shiftwork_core.services.cancelling import Canceller
    from shiftwork_core.services.definitions import Definitions
    from shiftwork_core.services.driving import Driver
    from shiftwork_core.services.payloads import Payloads
    from shiftwork_core.services.recording import Recorder
    from shiftwork_core.services.requests import CheckSchema, Requests
    from shiftwork_core.services.running import BatchRunner
    from shiftwork_core.services.sweeping import Sweeper

#: A batch has up to 100 jobs, each with a thread that writes.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
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
    with _building:
        if service not in _clients:
            _clients[service] = boto3.client(service, config=_CONFIG)  # type: ignore[call-overload]
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
        retention=settings().retention,
    )


@cache
def definition_store() -> DynamoDefinitionStore:
    """Return the store of definitions."""
    from shiftwork_core.adapters.dynamodb.definitions import DynamoDefinitionStore

    return DynamoDefinitionStore(client("dynamodb"), settings().definitions_table)


@cache
def blob_store() -> S3BlobStore:
    """Return the store of what is too large for a row."""
    from shiftwork_core.adapters.s3 import S3BlobStore

    return S3BlobStore(lambda: client("s3"), settings().blobs_bucket)


@cache
def machine() -> StepFunctionsMachine:
    """Return the state machine."""
    from shiftwork_core.adapters.aws import StepFunctionsMachine

    return StepFunctionsMachine(lambda: client("stepfunctions"), settings().state_machine_arn)


@cache
def queue() -> SqsQueue:
    """Return the wake queue."""
    from shiftwork_core.adapters.aws import SqsQueue

    return SqsQueue(lambda: client("sqs"), settings().wake_queue_url)


@cache
def batch_invoker() -> LambdaBatchInvoker:
    """Return what hands batches to RunJobs."""
    from shiftwork_core.adapters.aws import LambdaBatchInvoker

    return LambdaBatchInvoker(client("lambda"), settings().run_jobs_function)


@cache
def definitions_service() -> Definitions:
    """Return the service of definitions."""
    from shiftwork_core.services.definitions import Definitions

    return Definitions(definition_store(), now)


@cache
def payloads() -> Payloads:
    """Return what packs JSON into rows."""
    from shiftwork_core.services.payloads import Payloads

    return Payloads(blob_store())


@cache
def canceller() -> Canceller:
    """Return what cancels the jobs that have not started."""
    from shiftwork_core.services.cancelling import Canceller

    return Canceller(request_store(), job_store(), machine(), now)


@cache
def recorder() -> Recorder:
    """Return what records outcomes."""
    from shiftwork_core.services.recording import Recorder

    return Recorder(
        store=request_store(),
        jobs=job_store(),
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

    from shiftwork_core.services.driving import Driver

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
    from shiftwork_core.services.running import BatchRunner

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
def sweeper() -> Sweeper:
    """Return what sweeps."""
    from shiftwork_core.services.sweeping import Sweeper

    return Sweeper(
        store=request_store(),
        jobs=job_store(),
        driver=driver(),
        recorder=recorder(),
        machine=machine(),
        queue=queue(),
        clock=now,
        lease=settings().lease,
    )


def requests_service(check_schema: CheckSchema) -> Requests:
    """Return the service behind the API's requests."""
    from shiftwork_core.services.requests import Requests

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
