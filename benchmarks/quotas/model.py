"""Put the deployment together: the real services and stores on tables and functions with quotas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from benchmarks.quotas.functions import LAMBDA_TIME, Environment, Functions
from benchmarks.quotas.limits import Partitions, quotas
from benchmarks.quotas.machine import Machine
from benchmarks.quotas.manifests import ManifestClient, Manifests
from benchmarks.quotas.queue import Queue
from benchmarks.quotas.tables import Tables
from shiftwork_core.adapters.aws.calls import MAX_TRIES, wait_after
from shiftwork_core.adapters.dynamodb.attempt_rows import JobTables
from shiftwork_core.adapters.dynamodb.database import Outcome as WriteOutcome
from shiftwork_core.adapters.dynamodb.definitions import DynamoDefinitionStore
from shiftwork_core.adapters.dynamodb.expressions import Action
from shiftwork_core.adapters.dynamodb.jobs import DynamoJobStore
from shiftwork_core.adapters.dynamodb.limits import DynamoLimitStore
from shiftwork_core.adapters.dynamodb.payload_rows import TieredBlobStore
from shiftwork_core.adapters.dynamodb.requests import DynamoRequestStore
from shiftwork_core.adapters.dynamodb.steps import RequestTables
from shiftwork_core.adapters.dynamodb.workers import DynamoTokenStore, DynamoWorkerStore
from shiftwork_core.adapters.memory import MemoryBlobStore, MemoryTables
from shiftwork_core.domain.requests.definitions import JobType, Target
from shiftwork_core.domain.requests.outcomes import Outcome
from shiftwork_core.errors import Throttled
from shiftwork_core.ports.world import JobInput, JobTarget
from shiftwork_core.services.sweep import Sweep
from shiftwork_platform import wiring
from shiftwork_platform.cloud.functions import BatchCaller, FunctionError
from shiftwork_platform.cloud.hub import Group, Hub
from shiftwork_platform.cloud.threads import side_by_side
from shiftwork_platform.machine.interpreter import State, load_machine
from tests.contract.store.tables import create_table

Answer = TypeVar("Answer")

REQUESTS, JOBS, _LIMITS = "RequestsTable", "JobsTable", "LimitsTable"
_PAYLOADS, _BATCHES = "PayloadsTable", "BatchesTable"
_DEFINITIONS, _WORKERS, _TOKENS = "DefinitionsTable", "WorkersTable", "TokensTable"
#: How often each sweep runs here.
SWEEP_PERIOD_S = 60.0
_RETENTION = timedelta(days=90)
_WRITERS = 16
#: A day of virtual time takes so many switches and more.
_MAX_SWITCHES = 500_000_000


class Model:
    """The deployment, in virtual time.

    Parameters
    ----------
    do:
        What a job does: it may take time, by `hub.sleep`.
    """

    def __init__(self, do: Callable[[Model, JobInput], Outcome], seed: int = 0) -> None:
        random = Random(seed)
        self.hub = Hub(random)
        self.hub.MAX_SWITCHES = _MAX_SWITCHES
        self.draw = random.random
        self.partitions = Partitions(self._now)
        self.tables = Tables(self.partitions, self._now)
        for name in (
            *(REQUESTS, _PAYLOADS, _BATCHES, JOBS, _LIMITS),
            *(_DEFINITIONS, _WORKERS, _TOKENS),
        ):
            create_table(self.tables, name, name)
        self.blobs = MemoryBlobStore(MemoryTables())
        self.manifests = Manifests()
        self.machine = Machine(self)
        self.queue = Queue(self)
        self.functions = Functions(self)
        self.batch_caller = BatchCaller(self.functions.call)
        #: Calls of DynamoDB that were answered, by function, operation and table.
        self.calls: Counter[tuple[str, str, str]] = Counter()
        #: LISTs cost what PUTs do.
        self.s3_puts = self.s3_gets = 0
        #: How often a call gave up after all attempts of its client.
        self.given_up = 0
        #: Whether jobs share rows; then they take a processor's time that their rows do not.
        self.has_blocks = False
        self._do = do
        self._ids = count(1)

    def _now(self) -> float:
        return self.hub.now

    def note(self, *_: Any, **__: Any) -> None:
        """Keep no trace."""

    def definition_of(self, execution: str) -> State:
        """Return the state machine, the same for every execution."""
        return load_machine()

    def services_of(self, process: Environment) -> wiring.Services:
        """Return the services of a process, whose calls take its processor and time."""
        client: Any = _Client(self, process)
        waits: Any = {"sleep": self.hub.sleep, "draw": self.draw}
        services = wiring.Services(
            wiring.Ports(
                requests=DynamoRequestStore(
                    client, RequestTables(REQUESTS, _BATCHES), retention=_RETENTION, **waits
                ),
                jobs=_JobStore(self.hub, process, client, waits),
                limits=DynamoLimitStore(client, _LIMITS, **waits),
                definitions=DynamoDefinitionStore(client, _DEFINITIONS, **waits),
                workers=DynamoWorkerStore(client, _WORKERS, kept=_RETENTION, **waits),
                tokens=DynamoTokenStore(client, _TOKENS, **waits),
                blobs=TieredBlobStore(
                    client,
                    _PAYLOADS,
                    _Remote(self, process, _Bucket(self)),
                    process.clock,
                    **waits,
                ),
                manifests=ManifestClient(self, process),
                machine=_Remote(self, process, self.machine),
                batch_caller=self.batch_caller,
                wake_queue=_Remote(self, process, self.queue),
                target_for={Target.PYTHON: _Callback(self, process, self._do)}.get,
                clock=process.clock,
                new_id=lambda letter: f"{letter}{next(self._ids)}",
                draw=self.draw,
                side_by_side=process.side_by_side,
                sleep=self.hub.sleep,
                wait=self.hub.sleep,
                worker_id=process.name,
            )
        )
        services.invoker = _Remote(self, process, self.functions)  # type: ignore[attr-defined]
        return services

    # -- what people and the clock do ----------------------------------------------------------

    def ask(self, call: Callable[[wiring.Services], Answer]) -> Answer:
        """Make a call of the API, in its function.

        Raises
        ------
        FunctionError
            If the function cannot be called, or fails.
        """
        answer: Answer = self.functions.call("api", call)
        return answer

    def sweep_each_minute(self) -> None:
        """Let the schedules of the three sweeps of requests and jobs run from now on."""
        for sweep in (Sweep.NEW_REQUESTS, Sweep.INPROGRESS_REQUESTS, Sweep.JOBS):
            self.hub.spawn(f"schedule of {sweep}", partial(self._sweep, sweep))

    def _sweep(self, sweep: Sweep) -> None:
        while True:
            self.hub.sleep(SWEEP_PERIOD_S)
            self.hub.spawn(str(sweep), partial(self._sweep_once, sweep))

    def _sweep_once(self, sweep: Sweep) -> None:
        try:
            self.functions.call("sweep", {"sweep": sweep.value})
        except FunctionError:
            return  # The next minute's.


class _Client:
    """DynamoDB's client of one process."""

    def __init__(self, model: Model, process: Environment) -> None:
        self._model = model
        self._process = process

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._model.tables, name)

        def call(**given: Any) -> Any:
            assumed = quotas()["assumptions"]
            answer = _call(
                self._model, self._process, assumed["dynamodb_ms"], partial(method, **given)
            )
            self._model.calls[self._process.function, name, given.get("TableName", "")] += 1
            if rows := len(answer.get("Items", ())):
                self._process.compute(rows * assumed["cpu_ms_per_row"])
            return answer

        return call


class _Remote:
    """An adapter behind a client of one process."""

    def __init__(self, model: Model, process: Environment, adapter: object) -> None:
        self._model = model
        self._process = process
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        method, answers_ms = getattr(self._adapter, name), quotas()["assumptions"]["other_call_ms"]

        def call(*args: Any, **kwargs: Any) -> Any:
            made = partial(method, *args, **kwargs)
            return _call(self._model, self._process, answers_ms, made)

        return call


def _call(
    model: Model, process: Environment, answers_ms: float, call: Callable[[], Answer]
) -> Answer:
    """Make a call of a process, which takes its processor and time; retry it while throttled."""
    tries = 0
    while True:
        process.compute(LAMBDA_TIME["cpu_ms_per_call"], answers_ms)
        try:
            return call()
        except (ClientError, Throttled) as error:
            if not _is_throttled(error):
                raise
            tries += 1
            if tries == MAX_TRIES:
                model.given_up += 1
                raise
        model.hub.sleep(wait_after(tries, model.draw))


def _is_throttled(error: ClientError | Throttled) -> bool:
    if isinstance(error, Throttled):
        return True
    return error.response["Error"]["Code"] == "ProvisionedThroughputExceededException"


class _JobStore(DynamoJobStore):
    """The store, whose threads are actors."""

    def __init__(self, hub: Hub, process: Group, client: Any, waits: Any) -> None:
        super().__init__(client, JobTables(JOBS, REQUESTS, _LIMITS), retention=_RETENTION, **waits)
        self._hub = hub
        self._process = process

    def _write_side_by_side(self, actions: list[Action]) -> list[WriteOutcome]:
        written: dict[int, WriteOutcome] = {}
        shares = {
            first: partial(self._write_share, actions, first, written)
            for first in range(min(_WRITERS, len(actions)))
        }
        for ended in side_by_side(self._hub, self._process, shares, lambda: 60.0):
            for future in ended.values():
                future.result()
        return [written[number] for number in range(len(actions))]

    def _write_share(
        self, actions: list[Action], first: int, written: dict[int, WriteOutcome]
    ) -> None:
        for number in range(first, len(actions), _WRITERS):
            written[number] = self._database.write(actions[number])


class _Bucket:
    """The bucket of large payloads, whose calls are counted."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._model.blobs, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._model.s3_gets += name.startswith("get")
            self._model.s3_puts += not name.startswith("get")
            return method(*args, **kwargs)

        def get_many(refs: Iterable[str]) -> Iterator[str]:
            return (call(ref) for ref in refs)

        if name == "get_many":
            method = self._model.blobs.get
            return get_many

        return call


class _Callback(JobTarget):
    """A target that does what the scenario says."""

    def __init__(
        self, model: Model, process: Environment, do: Callable[[Model, JobInput], Outcome]
    ) -> None:
        self._model = model
        self._process = process
        self._do = do

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        """Do a job. Of a block, its part of the processor is taken before the next call."""
        if self._model.has_blocks:
            self._process.owe(quotas()["assumptions"]["cpu_ms_per_block_job"])
        return self._do(self._model, job)
