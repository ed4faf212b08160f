"""Build what every service shares: settings, clients, clock, ids, and AWS except the tables."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from shiftwork_core.bootstrap.session import new_session
from shiftwork_core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_lambda import LambdaClient

    from shiftwork_core.adapters.aws.batches import LambdaBatchCaller, LambdaBatchInvoker
    from shiftwork_core.adapters.aws.sqs import SqsQueue
    from shiftwork_core.adapters.aws.step_functions import StepFunctionsMachine
    from shiftwork_core.adapters.dynamodb.payload_rows import TieredBlobStore
    from shiftwork_core.ports.world import Runtime


#: A batch has up to 100 jobs, each with a thread that calls AWS.
SIDE_BY_SIDE = 100
#: `adapters.aws.calls.retries` tries again.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 1},
    max_pool_connections=SIDE_BY_SIDE,
    connect_timeout=5,
    read_timeout=20,
)


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings.from_env()


#: A batch runs its jobs in threads, any of which may be the first to need a client, and a session
#: can build only one at a time.
_building = Lock()
_session = new_session()
_clients: dict[str, Any] = {}


def client(service: str) -> Any:
    """Return the process's client of an AWS service. The caller declares its type."""
    from shiftwork_core.adapters.aws.calls import retries

    with _building:
        if service not in _clients:
            made: Any = _session.create_client(service, config=_CONFIG)
            made.meta.events.register_first("needs-retry", retries(random.random))
            _clients[service] = made
        return _clients[service]


def patient_client(service: str) -> Any:
    """Return a new client of a service whose answers may take as long as a function may run.

    It makes each call once, as what it asks for must not be done twice.
    """
    config = Config(
        retries={"total_max_attempts": 1}, read_timeout=900, max_pool_connections=SIDE_BY_SIDE
    )
    with _building:
        return _session.create_client(service, config=config)


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
def runtime() -> Runtime:
    """Return the runtime that every service of this process shares; its ids are those of claims."""
    from shiftwork_core.ports.world import Runtime

    return Runtime(clock=now, new_id=new_claim_id, draw=random.random, lease=settings().lease)


@cache
def blobs() -> TieredBlobStore:
    """Return the store of values that are kept apart from their rows."""
    from shiftwork_core.adapters.aws.blobs import S3BlobStore
    from shiftwork_core.adapters.dynamodb.payload_rows import TieredBlobStore

    objects = S3BlobStore(lambda: client("s3"), settings().blobs_bucket)
    return TieredBlobStore(client("dynamodb"), settings().payloads_table, objects, now)


@cache
def machine() -> StepFunctionsMachine:
    """Return the state machine."""
    from shiftwork_core.adapters.aws.step_functions import StepFunctionsMachine

    return StepFunctionsMachine(lambda: client("stepfunctions"), settings().state_machine_arn)


@cache
def wake_queue() -> SqsQueue:
    """Return the wake queue."""
    from shiftwork_core.adapters.aws.sqs import SqsQueue

    return SqsQueue(lambda: client("sqs"), settings().wake_queue_url)


@cache
def batch_invoker() -> LambdaBatchInvoker:
    """Return the invoker: it hands batches to RunJobs."""
    from shiftwork_core.adapters.aws.batches import LambdaBatchInvoker

    return LambdaBatchInvoker(client("lambda"), settings().run_jobs_function)


@cache
def batch_caller() -> LambdaBatchCaller:
    """Return the caller: it has RunJobs run batches, and waits for that."""
    from shiftwork_core.adapters.aws.batches import LambdaBatchCaller

    return LambdaBatchCaller(_calling_client, settings().run_jobs_function)


@cache
def _calling_client() -> LambdaClient:
    """Return the client by which batches are called. The caller knows what to do about errors."""
    from shiftwork_core.ports.world import CALL_WAIT

    with _building:
        made: Any = _session.create_client(
            "lambda",
            config=_CONFIG.merge(Config(read_timeout=CALL_WAIT.total_seconds())),
        )
    calling: LambdaClient = made
    return calling


def late(build: Callable[[], Any]) -> Any:
    """Return a stand-in for an object that is built when it is first used, which may be never.

    The caller declares its type. `build` keeps what it has built.
    """

    class Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(build(), name)

    return Late()
