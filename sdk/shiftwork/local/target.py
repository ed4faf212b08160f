"""Find out where an environment of samconfig.toml is deployed to, and with which parameters."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftwork.local.errors import LocalStackError
from shiftwork.local.parameters import overrides_in
from shiftwork.local.sources import Sources

if TYPE_CHECKING:
    from boto3 import Session


@dataclass(frozen=True, slots=True)
class Target:
    """An environment of samconfig.toml, as `sam deploy` reads it.

    Attributes
    ----------
    environment
        Its name, which `make deploy ENV=...` gets.
    region, profile
        Those that samconfig.toml names; else None, and the variables and the profile decide.
    overrides
        The parameters that samconfig.toml sets.
    bucket
        The bucket that it names for what is uploaded; None: SAM keeps one for the account.
    confirms
        Whether a deployment asks before it changes anything.
    written_in
        Where people write the parameters.
    """

    environment: str
    stack_name: str
    region: str | None
    profile: str | None
    overrides: Mapping[str, str]
    bucket: str | None = None
    confirms: bool = False
    written_in: str = "parameter_overrides in samconfig.toml"

    @classmethod
    def of(cls, sources: Sources, environment: str) -> Target:
        """Read the environment of a checkout, or the stage of a project, in its tree."""
        found = cls.read(sources.tree(environment), environment)
        if sources.project is None:
            return found
        return replace(found, written_in="the parameters in shiftwork.toml")

    @classmethod
    def read(cls, tree: Path, environment: str) -> Target:
        """Read the environment of samconfig.toml.

        Raises
        ------
        LocalStackError
            If the file cannot be read, has no such environment, or that names no stack.
        """
        try:
            config = tomllib.loads((tree / "samconfig.toml").read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise LocalStackError(
                f"samconfig.toml cannot be read: {error}", "correct it"
            ) from error
        found = {
            name: value
            for command in ("global", "deploy")
            for name, value in _table(config, environment, command, "parameters").items()
        }
        if not found.get("stack_name"):
            raise LocalStackError(
                f"samconfig.toml has no environment {environment!r} with a stack_name.",
                f"copy [dev.build.parameters] and [dev.deploy.parameters] there, as {environment}",
            )
        return cls(
            environment=environment,
            stack_name=str(found["stack_name"]),
            region=_text(found.get("region")),
            profile=_text(found.get("profile")),
            overrides=overrides_in(found.get("parameter_overrides", "")),
            bucket=_text(found.get("s3_bucket")),
            confirms=bool(found.get("confirm_changeset", False)),
        )

    def session(self) -> Session:
        """Return a session in the account and region that `sam deploy` uses.

        Raises
        ------
        LocalStackError
            If nothing says which region that is, the profile does not exist, or boto3 is missing.
        """
        try:
            import boto3
            from botocore.utils import validate_region_name
        except ImportError as error:
            raise LocalStackError("boto3 is missing.", "pip install 'shiftwork[local]'") from error
        # boto3 itself reads AWS_DEFAULT_REGION and the profile, and not AWS_REGION.
        region = self.region or os.environ.get("AWS_REGION") or None
        with aws_errors():
            session = boto3.Session(profile_name=self.profile, region_name=region)
            validate_region_name(session.region_name)
        if not session.region_name:
            raise LocalStackError(
                "Nothing says which region to deploy to.",
                f'set AWS_REGION, or region = "..." beside {self.written_in}',
            )
        return session


def _table(config: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return a table within tables; an empty one if there is none, or a value in its place."""
    found: Any = config
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _text(value: Any) -> str | None:
    return str(value) if value else None


@contextmanager
def aws_errors() -> Iterator[None]:
    """Say in the block's errors of AWS what to do next."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise LocalStackError(
            f"AWS could not be asked: {error}",
            "check credentials, profile and region: aws sts get-caller-identity",
        ) from error
