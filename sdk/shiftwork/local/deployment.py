"""Build Shiftwork and deploy it to an emulator with the SAM CLI, as on AWS."""

from __future__ import annotations

import json
import os
import platform
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from shiftwork.api.env_file import write_env_file
from shiftwork.local import builds, ministack, tools
from shiftwork.local.errors import LocalStackError
from shiftwork.local.files import digest, last_lines, locked
from shiftwork.local.parameters import as_options, short_services
from shiftwork.local.probe import status_of
from shiftwork.local.reporting import Report

if TYPE_CHECKING:
    from boto3 import Session

STACK_NAME = "shiftwork-local"
REGION = "us-east-1"
#: An emulator requires credentials and checks none.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

#: The sources of a build.
_SOURCES = ("template.yaml", "samconfig.toml", "functions", "layers", "statemachines")
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
_SMOKE_TIMEOUT_S = 30.0
#: Intervals that can be set for the local stack, and the template's parameters for them.
NUMBERS = {
    "SHIFTWORK_LEASE_S": "LeaseSeconds",
    "SHIFTWORK_WORKER_OFFLINE_S": "WorkerOfflineSeconds",
    "SHIFTWORK_REBUILD_MARGIN_S": "RebuildMarginSeconds",
}


def aws_environment(endpoint: str) -> dict[str, str]:
    """Return the variables that point an AWS SDK to the emulator."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        **CREDENTIALS,
    }


@dataclass(frozen=True, slots=True)
class Deployment:
    """The stack of one state folder on the emulator at `endpoint`.

    Attributes
    ----------
    tree
        The folder of template.yaml.
    cache
        The folder of tools and builds, which all state folders of the sources share.
    settings
        SHIFTWORK_SERVICES and the intervals of `NUMBERS` become the template's parameters.
    """

    tree: Path
    cache: Path
    home: Path
    endpoint: str
    settings: Mapping[str, str]
    stack_name: str = STACK_NAME

    @property
    def _stamp(self) -> Path:
        return self.home / "deployed"

    def parameters(self) -> dict[str, str]:
        """Return the template's parameters, with this machine's Python and processor.

        Raises
        ------
        LocalStackError
            If SHIFTWORK_SERVICES is not a JSON object of services.
        """
        found = {
            "Stage": "local",
            "Alarms": "false",  # The emulator knows neither metric math nor composite alarms.
            "PythonRuntime": f"python{_PYTHON}",
            "Architecture": _ARCHITECTURE,
        }
        if services := self.settings.get("SHIFTWORK_SERVICES"):
            found["Services"] = short_services(
                services,
                "SHIFTWORK_SERVICES",
                """SHIFTWORK_SERVICES='{"crm": "http://127.0.0.1:9000"}' make up""",
                is_local=True,
            )
        for variable, parameter in NUMBERS.items():
            if number := self.settings.get(variable):
                found[parameter] = number
        return found

    def ensure(self, known: Mapping[str, str], report: Report) -> dict[str, str]:
        """Build and deploy what has changed; return what `local.env` now contains.

        Parameters
        ----------
        known
            What it contained before; its token is kept.
        """
        source = digest(self.tree, _SOURCES, sys.version)
        wanted = digest(self.home, (), source, self.endpoint, json.dumps(self.parameters()))
        is_same = self._stamp.is_file() and self._stamp.read_text() == wanted
        if is_same and known and is_up(known["SHIFTWORK_URL"]):
            return dict(known)
        self._stamp.unlink(missing_ok=True)
        # Other stacks may build from the same sources: one at a time, until deployed.
        with locked(self.cache / "build.lock"):
            self._deploy(self._build(source, report), report)
        report("checking that it answers")
        env = self._describe(known.get("SHIFTWORK_TOKEN") or secrets.token_urlsafe(32))
        env |= lost_between(known, env)
        write_env_file(self.home / "local.env", env)
        self._stamp.write_text(wanted)
        return env

    def _build(self, source: str, report: Report) -> Path:
        """Return the built template; build only if the source has changed."""
        folder = builds.folder_of(self.cache / "build", self.tree, _PYTHON, _ARCHITECTURE)
        built, stamp = folder.template, folder.path / "source"
        if stamp.is_file() and stamp.read_text() == source and built.is_file():
            return built
        report("building functions and layers")
        folder.remove_others(keep_runtimes=False)
        stamp.unlink(missing_ok=True)
        self._sam("build", folder.options, report)
        ministack.adapt(self.tree, built)
        stamp.write_text(source)
        return built

    def _deploy(self, template: Path, report: Report) -> None:
        report("deploying the stack")
        self._sam(
            "deploy", ["--stack-name", self.stack_name, "--template-file", str(template)], report
        )

    def _sam(self, command: str, options: list[str], report: Report) -> None:
        sam = tools.sam(self.tree, self.cache, report)
        done = subprocess.run(
            [
                str(sam),
                command,
                *("--config-file", str(self.tree / "samconfig.toml"), "--config-env", "local"),
                *options,
                *as_options(self.parameters()),
            ],
            cwd=self.tree,
            env=sam_environment(self.cache)
            | aws_environment(self.endpoint)
            | {"LAYER_PYTHON": _PYTHON, "LAYER_PLATFORM": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        log = self.home / f"sam-{command}.log"
        log.write_text(done.stdout)
        if done.returncode:
            raise LocalStackError(f"sam {command} failed.\n{last_lines(log)}", f"read {log}")

    def _describe(self, token: str) -> dict[str, str]:
        """Set the token, check that the stack works, and return its `local.env`."""
        session = boto3_session()
        [stack] = session.client("cloudformation", endpoint_url=self.endpoint).describe_stacks(
            StackName=self.stack_name
        )["Stacks"]
        outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
        session.client("secretsmanager", endpoint_url=self.endpoint).put_secret_value(
            SecretId=outputs["TokenSecretArn"], SecretString=json.dumps({"admin": token})
        )
        url = self._working_url(outputs["ApiId"], token)
        self._smoke_invoke(session, outputs["SweepFunctionName"])
        return {
            "SHIFTWORK_URL": url,
            "SHIFTWORK_TOKEN": token,
            **aws_environment(self.endpoint),
            "SHIFTWORK_BUCKET": outputs["BlobsBucketName"],
            "SHIFTWORK_STACK": self.stack_name,
            "SHIFTWORK_STACK_ID": stack.get("StackId", ""),
        }

    def _working_url(self, api: str, token: str) -> str:
        """Return the address at which a call with the token succeeds; wait for it."""
        urls = [*ministack.api_urls(self.endpoint, api)]
        deadline = time.monotonic() + _SMOKE_TIMEOUT_S
        while True:
            for url in urls:
                if is_up(url) and status_of(f"{url}/v1/requests", token) == 200:
                    return url
            if time.monotonic() > deadline:
                fault = status_of(f"{urls[0]}/v1/requests", token) or "nothing"
                raise LocalStackError(
                    f"The stack is deployed, but {urls[0]}/v1/requests answers {fault}.",
                    f"read {self.home / 'emulator.log'}",
                )
            time.sleep(0.5)

    def _smoke_invoke(self, session: Session, function: str) -> None:
        """Call a function: an emulator deploys one without its code and reports no error."""
        answer = session.client("lambda", endpoint_url=self.endpoint).invoke(
            FunctionName=function, Payload=b'{"sweep": "jobs"}'
        )
        if "FunctionError" in answer:
            raise LocalStackError(
                f"The stack is deployed, but {function} fails: {answer['Payload'].read().decode()}",
                f"read {self.home / 'emulator.log'}",
            )


def is_up(url: str) -> bool:
    """Whether the API at `url` answers."""
    return status_of(f"{url}/heartbeat") == 200


def require_answer(endpoint: str) -> None:
    """Check that an emulator answers at `endpoint`.

    Raises
    ------
    LocalStackError
        If nothing does.
    """
    if status_of(endpoint) is None:
        raise LocalStackError(
            f"Nothing answers at {endpoint}, which SHIFTWORK_ENDPOINT names.",
            "start your emulator, or unset SHIFTWORK_ENDPOINT to have one started",
        )


def sam_environment(cache: Path) -> dict[str, str]:
    """Return the environment for the SAM CLI: this process's, without any AWS account.

    The SAM CLI keeps its state in `cache`, and finds uv on the path for the layers' builds.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return {
        **kept,
        "PATH": f"{tools.folder_of_uv()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.2",
        "__SAM_CLI_APP_DIR": str(cache / "sam"),
    }


def boto3_session() -> Session:
    """Return a session that ignores the machine's AWS settings.

    Raises
    ------
    LocalStackError
        If boto3 is not installed.
    """
    try:
        import boto3
    except ImportError as error:
        raise LocalStackError(
            "boto3, which talks to the emulator, is missing.", "pip install 'shiftwork[local]'"
        ) from error
    return boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )


def lost_between(known: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """Return what `local.env` says of a loss: when an emulator was found without its stack.

    `known` and `env` are its contents before and after a deployment.
    """
    before = known.get("SHIFTWORK_STACK_ID")
    if before and before != env["SHIFTWORK_STACK_ID"]:
        return {"SHIFTWORK_LOST_AT": datetime.now(UTC).isoformat(timespec="seconds")}
    return {k: v for k, v in known.items() if k == "SHIFTWORK_LOST_AT"}
