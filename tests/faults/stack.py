"""Make a second stack whose functions follow a plan of faults."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from threading import Event, Thread

import httpx2

from shiftwork.api.client import ShiftworkClient
from shiftwork_core import bootstrap
from shiftwork_core.adapters.aws.blobs import S3BlobStore
from shiftwork_core.adapters.aws.sqs import SqsQueue
from shiftwork_core.adapters.aws.step_functions import StepFunctionsMachine
from shiftwork_core.adapters.dynamodb.attempt_rows import JobTables
from shiftwork_core.adapters.dynamodb.definitions import DynamoDefinitionStore
from shiftwork_core.adapters.dynamodb.items import request_key
from shiftwork_core.adapters.dynamodb.jobs import DynamoJobStore
from shiftwork_core.adapters.dynamodb.namespaces import REQUESTS, NamespacedClient
from shiftwork_core.adapters.dynamodb.payload_rows import TieredBlobStore
from shiftwork_core.adapters.dynamodb.requests import DynamoRequestStore
from shiftwork_core.adapters.dynamodb.steps import RequestTables
from shiftwork_core.ports.world import Machine
from shiftwork_core.services.requests.requests import Requests
from shiftwork_core.settings import Settings
from shiftwork_platform.wiring import Ports, Services
from tests.faults.deployed.client_faults import FOLDER, Plan
from tests.integration.lab import JsonObject, Lab, unique

DEPLOYED = Path(__file__).parent / "deployed"
#: The functions under faults. The authorizer only reads a secret.
FUNCTIONS = ("AdvanceRequest", "RunJobs", "RetryJobs", "Sweep", "Api", "SwitchWorkspaces")
#: A bound for small machines: each invocation under way is a process.
MAX_RUN_JOBS = 16
SWEEPS = ("new-requests", "inprogress-requests", "jobs")
#: How often sweeps run here; the schedules run them every few minutes.
SWEEP_EVERY_S = 1.0


@dataclass(eq=False)
class FaultyLab(Lab):
    """The stack whose functions follow a plan, and the folder that they share with it."""

    folder: Path = field(default_factory=Path)
    _taken: Counter[str] = field(default_factory=Counter)

    def follow(self, plan: Plan) -> None:
        """Make each invocation that begins from now on follow the plan."""
        written = self.folder / "plan.new"
        written.write_text(json.dumps(asdict(plan)))
        written.rename(self.folder / "plan.json")

    def take_calls(self) -> list[JsonObject]:
        """Return the fate of each AWS call since the last time, in order."""
        return self._take("calls.jsonl")

    def take_effects(self) -> list[JsonObject]:
        """Return what callbacks did since the last time."""
        return self._take("effects.jsonl")

    def _take(self, name: str) -> list[JsonObject]:
        path = self.folder / name
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._taken[name])
            lines = file.read().splitlines(keepends=True)
        self._taken[name] += sum(map(len, lines))
        return [json.loads(line) for line in lines]

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Run the sweeps repeatedly, as schedules do, even if one dies."""
        has_ended = Event()

        def sweep() -> None:
            while not has_ended.wait(SWEEP_EVERY_S):
                self.sweep_once(*SWEEPS)

        thread = Thread(target=sweep, daemon=True)
        thread.start()
        try:
            yield
        finally:
            has_ended.set()
            thread.join()

    def sweep_once(self, *names: str) -> None:
        """Run sweeps, whatever their outcome."""
        for name in names:
            self.client("lambda").invoke(
                FunctionName=self.function("Sweep"), Payload=json.dumps({"sweep": name}).encode()
            )

    def statuses(self, request_ids: list[str]) -> dict[str, str]:
        """Return the requests' statuses straight from the table; one without a row is missing."""
        table, found = self.outputs["RequestsTableName"], dict[str, str]()
        client = NamespacedClient(self.client("dynamodb"), {table: REQUESTS})
        for start in range(0, len(request_ids), 100):
            keys = [request_key(request_id) for request_id in request_ids[start : start + 100]]
            wanted = {table: {"Keys": keys, "ConsistentRead": True}}
            rows = client.batch_get_item(RequestItems=wanted)["Responses"][table]
            found |= {row["request_id"]["S"]: row["status"]["S"] for row in rows}
        return found

    @cached_property
    def settings(self) -> Settings:
        """The settings of this stack's functions."""
        return Settings.from_env(self.environment("Api"))

    @cached_property
    def store(self) -> DynamoRequestStore:
        """The stack's requests, without faults."""
        return DynamoRequestStore(
            self.client("dynamodb"),
            RequestTables(self.settings.requests_table, self.settings.batches_table),
            retention=self.settings.retention,
        )

    def service_for(
        self, request_id: str, machine: Machine | None = None, lease: timedelta | None = None
    ) -> Requests:
        """Return the API's service, without faults, whose next request has this id."""
        settings, dynamodb = self.settings, self.client("dynamodb")
        jobs = DynamoJobStore(
            dynamodb,
            JobTables(settings.jobs_table, settings.requests_table, settings.limits_table),
            retention=settings.retention,
        )
        ports = Ports(
            requests=self.store,
            jobs=jobs,
            definitions=DynamoDefinitionStore(dynamodb, settings.definitions_table),
            blobs=TieredBlobStore(
                self.client("dynamodb"),
                settings.payloads_table,
                S3BlobStore(lambda: self.client("s3"), settings.blobs_bucket),
                bootstrap.world.now,
            ),
            machine=machine
            or StepFunctionsMachine(
                lambda: self.client("stepfunctions"), settings.state_machine_arn
            ),
            wake_queue=SqsQueue(lambda: self.client("sqs"), settings.wake_queue_url),
            clock=bootstrap.world.now,
            new_id=lambda letter: request_id,
            lease=settings.lease if lease is None else lease,
        )
        return Services(ports).requests


@contextmanager
def faulty_lab(lab: Lab) -> Iterator[FaultyLab]:
    """Make a second stack like the lab's, with the hook in its functions; delete it at the end."""
    name = unique("faults")
    cloudformation = lab.client("cloudformation")
    [like] = cloudformation.describe_stacks(StackName=lab.stack)["Stacks"]
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=_template_url(lab),
        Parameters=[
            {key: parameter[key] for key in ("ParameterKey", "ParameterValue")}
            for parameter in like["Parameters"]
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    try:
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
        with tempfile.TemporaryDirectory(prefix="faults-") as folder, _api(name) as api:
            faulty = FaultyLab(api, name, Path(folder))
            faulty.follow(Plan())
            _add_hooks(faulty)
            yield faulty
    finally:
        cloudformation.delete_stack(StackName=name)


def _template_url(lab: Lab) -> str:
    """Put the lab's template into S3 for CloudFormation: it is too long to be sent along."""
    template = lab.client("cloudformation").get_template(StackName=lab.stack)["TemplateBody"]
    text = template if isinstance(template, str) else json.dumps(template)
    bucket, key = lab.outputs["BlobsBucketName"], "templates/faults.json"
    lab.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode())
    url: str = lab.client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}
    )
    return url.partition("?")[0]


def _api(stack: str) -> ShiftworkClient:
    """Return a client of the stack's API, with that stack's address and token."""
    lab = Lab(stack=stack)
    outputs = lab.outputs
    url = os.environ["SHIFTWORK_URL"].replace(Lab().outputs["ApiId"], outputs["ApiId"])
    secret = lab.client("secretsmanager").get_secret_value(SecretId=outputs["TokenSecretArn"])
    return ShiftworkClient(url, json.loads(secret["SecretString"])["admin"], timeout_s=120)


def _add_hooks(lab: FaultyLab) -> None:
    """Add the hook to the deployed code, in front of its handlers."""
    functions = lab.client("lambda")
    for function in FUNCTIONS:
        found = functions.get_function(FunctionName=lab.function(function))
        code = io.BytesIO(httpx2.get(found["Code"]["Location"]).raise_for_status().content)
        with zipfile.ZipFile(code, "a") as archive:
            archive.write(DEPLOYED / "client_faults.py", "client_faults.py")
            if function == "RunJobs":
                archive.write(DEPLOYED / "fault_callbacks.py", "callbacks/fault_callbacks.py")
        functions.update_function_code(FunctionName=lab.function(function), ZipFile=code.getvalue())
    _wait_until_updated(lab)
    for function in FUNCTIONS:
        functions.update_function_configuration(
            FunctionName=lab.function(function),
            Handler="client_faults.handler",
            Environment={"Variables": lab.environment(function) | {FOLDER: str(lab.folder)}},
        )
    _wait_until_updated(lab)
    functions.put_function_concurrency(
        FunctionName=lab.function("RunJobs"), ReservedConcurrentExecutions=MAX_RUN_JOBS
    )


def _wait_until_updated(lab: FaultyLab) -> None:
    waiter = lab.client("lambda").get_waiter("function_updated_v2")
    for function in FUNCTIONS:
        waiter.wait(FunctionName=lab.function(function))
