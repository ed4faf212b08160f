"""Where a throw-away stack goes: to an AWS account, or beside the local stack on its emulator."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from shiftwork.local import aws_deployment
from shiftwork.local.deployment import REGION, boto3_session, is_up
from shiftwork.local.emulator import free_port
from shiftwork.local.errors import LocalStackError
from shiftwork.local.reporting import Report
from shiftwork.local.stack import Stack
from shiftwork.local.target import Target
from shiftwork.local.template import defaults_of, read_template
from shiftwork.local.verify.cloudwatch import CloudWatchCounts
from shiftwork.local.verify.counts import CountSource
from shiftwork.local.verify.removal import Uploads
from shiftwork.local.verify.streams import StreamCounts

if TYPE_CHECKING:
    from boto3 import Session

#: The environment of samconfig.toml that means the emulator.
LOCAL = "local"
_SERVES_WITHIN_S = 120.0
_POLL_S = 2.0


class Place(Protocol):
    """Where a throw-away stack is deployed to."""

    @property
    def title(self) -> str:
        """What it is, for the report: no account and no address."""

    @property
    def uploads(self) -> Uploads | None:
        """What is uploaded for the stack, and must be removed."""

    @property
    def options(self) -> str:
        """What the AWS CLI must be told to find it."""

    @property
    def is_local(self) -> bool:
        """Whether the stack can reach services on this machine."""

    def client(self, service: str) -> Any:
        """Return a client of an AWS service there."""

    def deploy(self) -> Mapping[str, str]:
        """Deploy; return the variables by which `shiftwork` finds the stack.

        Raises
        ------
        LocalStackError
            If it cannot be deployed, or does not answer.
        """

    def source(self, resources: Mapping[str, str]) -> CountSource:
        """Return what counts there."""


@dataclass(frozen=True)
class AwsPlace:
    """An AWS account and region, as an environment of samconfig.toml names them.

    Of the environment's parameters only runtime and processor count: no alarm mails anybody, and
    nothing reserves concurrency.
    """

    project: Path
    target: Target
    session: Session

    @classmethod
    def of(cls, project: Path, environment: str, stack_name: str) -> AwsPlace:
        """Read the environment."""
        target = Target.read(project, environment)
        defaults = defaults_of(read_template(project))
        built_for = ("PythonRuntime", "Architecture")
        overrides = {
            name: value if name in built_for else defaults[name]
            for name, value in target.overrides.items()
            if name in defaults
        }
        overrides |= {"Stage": "verify", "Alarms": "false", "LogRetentionDays": "1"}
        own, session = replace(target, stack_name=stack_name, overrides=overrides), target.session()
        # Whoever has no credentials reads so before anything is begun.
        aws_deployment.find_stack(session.client("cloudformation"), stack_name)
        return cls(project, own, session)

    is_local = False

    @property
    def title(self) -> str:
        """Return the region."""
        return f"AWS, {self.session.region_name}"

    @property
    def options(self) -> str:
        """Return region and profile."""
        region = f"--region {self.session.region_name}"
        return f"{region} --profile {self.target.profile}" if self.target.profile else region

    @property
    def uploads(self) -> Uploads | None:
        """Return the prefix that only this stack has."""
        return Uploads(self.target.bucket, self.target.stack_name)

    def client(self, service: str) -> Any:
        """Return a client."""
        untyped: Any = self.session
        return untyped.client(service)

    def deploy(self) -> Mapping[str, str]:
        """Deploy as `make deploy` does, under another name."""
        name = self.target.stack_name
        options = ["--stack-name", name, "--s3-prefix", name, "--no-confirm-changeset"]
        with redirect_stdout(sys.stderr):  # Stdout has the report alone.
            aws_deployment.deploy_unasked(
                self.target, self.project, self.project / ".shiftwork", options
            )
        stack = aws_deployment.find_stack(self.session.client("cloudformation"), name)
        outputs = aws_deployment.outputs_of(stack)
        _await_answer(outputs["ApiUrl"])
        env = {
            "SHIFTWORK_URL": outputs["ApiUrl"],
            "SHIFTWORK_TOKEN": aws_deployment.admin_token(self.session, outputs),
            "SHIFTWORK_BUCKET": outputs["BlobsBucketName"],
            "AWS_REGION": str(self.session.region_name),
            "AWS_DEFAULT_REGION": str(self.session.region_name),
        }
        return env | ({"AWS_PROFILE": self.target.profile} if self.target.profile else {})

    def source(self, resources: Mapping[str, str]) -> CountSource:
        """Return CloudWatch."""
        return CloudWatchCounts(self.client("cloudwatch"), resources, time.sleep, time.time)


@dataclass(frozen=True)
class LocalPlace:
    """The emulator of the local stack.

    Attributes
    ----------
    home
        The state folder of the throw-away stack.
    """

    stack: Stack
    stack_name: str
    home: Path
    report: Report

    title = "the local stack's emulator, not AWS"
    uploads = None
    is_local = True

    @property
    def options(self) -> str:
        """Return the emulator's address."""
        return f"--endpoint-url {self.stack.status().endpoint}"

    def client(self, service: str) -> Any:
        """Return a client of the emulator."""
        untyped: Any = boto3_session()
        return untyped.client(service, endpoint_url=self.stack.status().endpoint)

    def deploy(self) -> Mapping[str, str]:
        """Deploy beside the local stack."""
        services = json.dumps({"demo-lab": f"http://127.0.0.1:{free_port()}"})
        env = self.stack.deploy_beside(self.stack_name, self.home, services, self.report)
        return {**env, "SHIFTWORK_SERVICES": services, "AWS_REGION": REGION}

    def source(self, resources: Mapping[str, str]) -> CountSource:
        """Return the streams."""
        return StreamCounts(self.client, resources, time.time)


def place_of(project: Path, environment: str, stack_name: str, home: Path, report: Report) -> Place:
    """Return where an environment's throw-away stack goes."""
    if environment == LOCAL:
        return LocalPlace(Stack.find(project), stack_name, home, report)
    return AwsPlace.of(project, environment, stack_name)


def _await_answer(url: str) -> None:
    """Wait until the API answers."""
    deadline = time.monotonic() + _SERVES_WITHIN_S
    while not is_up(url):
        if time.monotonic() > deadline:
            raise LocalStackError(f"The stack is deployed, but {url}/heartbeat does not answer.")
        time.sleep(_POLL_S)
