"""Deploying an environment to AWS: what is built, what is deployed, and what is said afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import boto3
import pytest
from botocore.stub import Stubber

from shiftwork.local import LocalStackError, aws_deployment
from shiftwork.local.concurrency import RESERVATIONS
from shiftwork.local.sources import Sources
from shiftwork.local.target import Target
from tests.template import ROOT

SAMCONFIG = """
[dev.deploy.parameters]
stack_name = "shiftwork-dev"
parameter_overrides = {overrides}
"""
OUTPUTS = {"ApiUrl": "https://api.example.com", "TokenSecretArn": "arn:secret", "Schema": "2"}


@dataclass
class FakeChangeSets:
    """The stack's change sets: one from before, and one that `sam deploy` makes."""

    made: set[str] = field(default_factory=lambda: {"new"})
    found: set[str] = field(default_factory=lambda: {"left"})
    done: list[str] = field(default_factory=list)

    def ids(self) -> set[str]:
        return set(self.found)

    def changes(self, change_set: str) -> list[dict[str, Any]]:
        return [{"Action": "Add", "LogicalResourceId": "X", "ResourceType": "AWS::SQS::Queue"}]

    def discard(self, change_set: str) -> None:
        self.done.append(f"discarded {change_set}")

    def carry_out(self, change_set: str, report: object) -> None:
        self.done.append(f"carried out {change_set}")


@dataclass
class Account:
    """What an account answers, and what the SAM CLI is asked to do there."""

    project: Path
    stub: Stubber
    quotas: Stubber
    commands: list[tuple[list[str], Mapping[str, str]]] = field(default_factory=list)
    exit_codes: dict[str, int] = field(default_factory=dict)
    change_sets: FakeChangeSets = field(default_factory=FakeChangeSets)

    def config(self, overrides: str = "Stage=dev") -> None:
        (self.project / "samconfig.toml").write_text(
            SAMCONFIG.format(overrides=json.dumps(overrides))
        )

    def has_no_stack(self) -> None:
        self.stub.add_client_error("describe_stacks", "ValidationError", "does not exist", 400)

    def has_stack(self, **parameters: str) -> None:
        self.stub.add_response(
            "describe_stacks",
            {
                "Stacks": [
                    {
                        "StackName": "shiftwork-dev",
                        "CreationTime": datetime.now(UTC),
                        "StackStatus": "UPDATE_COMPLETE",
                        "Parameters": [
                            {"ParameterKey": key, "ParameterValue": value}
                            for key, value in parameters.items()
                        ],
                        "Outputs": [
                            {"OutputKey": key, "OutputValue": value}
                            for key, value in OUTPUTS.items()
                        ],
                    }
                ]
            },
            {"StackName": "shiftwork-dev"},
        )

    def run_sam(
        self,
        tree: Path,
        cache: Path,
        arguments: Sequence[str],
        settings: Mapping[str, str],
        log: IO[str],
    ) -> int:
        self.commands.append(([*arguments], settings))
        code = self.exit_codes.get(arguments[0], 0)
        log.write("it went wrong\n" if code else "")
        if arguments[0] == "deploy" and not code:
            self.change_sets.found |= self.change_sets.made
        return code

    def has_quota(self) -> None:
        limits = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
        self.quotas.add_response("get_account_settings", {"AccountLimit": limits})

    def deploy(self, agree: Callable[[], None] = lambda: None) -> None:
        self.has_quota()
        aws_deployment.deploy(Sources(self.project), "dev", agree)


class Secrets:
    @staticmethod
    def get_secret_value(*, SecretId: str) -> dict[str, str]:
        assert SecretId == "arn:secret"
        return {"SecretString": json.dumps({"admin": "secret"})}


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    shutil.copy(ROOT / "template.yaml", tmp_path)
    client = boto3.client(
        "cloudformation", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )

    functions = boto3.client(
        "lambda", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )

    class Session:
        region_name = "eu-west-1"

        def client(self, service: str) -> Any:
            return {"cloudformation": client, "lambda": functions, "secretsmanager": Secrets}[
                service
            ]

    with Stubber(client) as stub, Stubber(functions) as quotas:
        found = Account(tmp_path, stub, quotas)
        found.config()
        monkeypatch.setattr(Target, "session", lambda target: Session())
        monkeypatch.setattr(aws_deployment, "run_sam", found.run_sam)
        monkeypatch.setattr(aws_deployment, "ChangeSets", lambda *_: found.change_sets)
        monkeypatch.setattr(aws_deployment, "_provide_python", lambda version: None)
        yield found


def option(command: Sequence[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_builds_for_two_runtimes_or_processors_share_neither_folder_nor_cache(
    account: Account,
) -> None:
    """SAM's cache knows neither, so a shared one would deploy the packages of the other."""
    folders = set()
    kinds = [("3.13", "arm64"), ("3.13", "x86_64"), ("3.12", "arm64")]
    for python, architecture in kinds:
        account.config(f"PythonRuntime=python{python} Architecture={architecture}")
        account.has_no_stack()
        account.has_stack()
        account.deploy()
        build, settings = account.commands[-2]
        assert settings["LAYER_PYTHON"] == python
        assert settings["LAYER_PLATFORM"].startswith(
            {"arm64": "aarch64", "x86_64": "x86_64"}[architecture]
        )
        folders |= {option(build, "--build-dir"), option(build, "--cache-dir")}
    assert len(folders) == 2 * len(kinds)


def test_a_changed_makefile_is_no_hit_of_the_cache(account: Account) -> None:
    folders = set()
    for text in ("one", "two"):
        (account.project / "functions").mkdir(exist_ok=True)
        (account.project / "functions" / "Makefile").write_text(text)
        account.has_no_stack()
        account.has_stack()
        account.deploy()
        folders.add(option(account.commands[-2][0], "--cache-dir"))
    assert len(folders) == 2


def test_what_was_built_is_what_is_deployed(account: Account) -> None:
    account.has_no_stack()
    account.has_stack()
    account.deploy()
    (build, _), (deploy, _) = account.commands
    assert (build[0], deploy[0]) == ("build", "deploy")
    template = Path(option(deploy, "--template-file"))
    assert template == Path(option(build, "--build-dir")) / "template.yaml"
    for command in (build, deploy):
        assert {'PythonRuntime="python3.13"', 'Architecture="arm64"'} <= set(command)
        # SAM looks for its configuration beside the template.
        assert option(command, "--config-file") == str(account.project / "samconfig.toml")
        assert option(command, "--config-env") == "dev"


def test_a_build_is_made_for_the_processor_that_the_stack_keeps(account: Account) -> None:
    """An override that was taken out of samconfig.toml stays in force in the stack."""
    account.has_stack(Architecture="x86_64", PythonRuntime="python3.12")
    account.has_stack()
    account.deploy()
    (build, settings), (deploy, _) = account.commands
    assert settings == {"LAYER_PYTHON": "3.12", "LAYER_PLATFORM": "x86_64-manylinux_2_28"}
    assert 'Architecture="x86_64"' in build
    assert 'Architecture="x86_64"' in deploy


def test_a_build_that_fails_deploys_nothing(account: Account) -> None:
    account.has_no_stack()
    account.exit_codes["build"] = 3
    with pytest.raises(LocalStackError, match=r"sam build failed\.(?s:.*)it went wrong"):
        account.deploy()
    assert [command[0] for command, _ in account.commands] == ["build"]


def test_builds_by_older_makefiles_are_removed_and_other_runtimes_are_not(
    account: Account,
) -> None:
    account.has_no_stack()
    account.has_stack()
    account.deploy()
    current = Path(option(account.commands[0][0], "--build-dir")).parent
    others = [
        current.with_name(current.name.replace("arm64", "x86_64")),
        current.with_name("python3.13-arm64-00000000"),
    ]
    for other in others:
        other.mkdir(parents=True)
    account.has_no_stack()
    account.has_stack()
    account.deploy()
    assert [other.exists() for other in others] == [True, False]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_make_deploy_deploys_the_environment_that_it_is_given(environment: str) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "deploy", f"ENV={environment}"],
        cwd=ROOT,
        # Else a make that runs the tests would have a say in this one.
        env={name: value for name, value in os.environ.items() if name != "MAKEFLAGS"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == f".venv/bin/shiftwork deploy {environment}"


CONFIRMED = """
[dev.deploy.parameters]
stack_name = "shiftwork-dev"
confirm_changeset = true
"""


def test_a_deployment_says_what_changes_and_carries_out_what_it_has_shown(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.has_no_stack()
    account.has_stack()
    account.deploy()
    assert "--no-execute-changeset" in account.commands[-1][0]
    assert account.change_sets.done == ["carried out new"]
    assert "adds        X" in capsys.readouterr().out


def test_a_deployment_that_is_not_agreed_to_leaves_no_change_set_behind(account: Account) -> None:
    (account.project / "samconfig.toml").write_text(CONFIRMED)
    account.has_no_stack()

    def refuse() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        account.deploy(refuse)
    assert account.change_sets.done == ["discarded new"]


def test_a_deployment_that_changes_nothing_says_so(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.change_sets.made = set()
    account.has_no_stack()
    account.has_stack()
    account.deploy()
    assert account.change_sets.done == []
    assert "Nothing changes." in capsys.readouterr().out


def test_services_that_are_no_object_are_refused_before_the_build(account: Account) -> None:
    account.config("Services=crm")
    account.has_no_stack()
    with pytest.raises(LocalStackError, match="Services is not a JSON object") as raised:
        account.deploy()
    assert "samconfig.toml" in raised.value.next_step
    assert account.commands == []


def test_what_is_no_parameter_is_refused_before_the_build(account: Account) -> None:
    """The SAM CLI would leave it out, and say nothing."""
    account.config("Stage=dev LogRetentionDay=90")
    account.has_no_stack()
    with pytest.raises(LocalStackError, match="no parameter LogRetentionDay:") as raised:
        account.deploy()
    assert raised.value.next_step.endswith("perhaps it should be LogRetentionDays")
    assert account.commands == []


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_runtime_whose_c_library_is_too_old_is_refused_before_the_build(
    account: Account, is_kept: bool
) -> None:
    if is_kept:
        account.has_stack(PythonRuntime="python3.11")
    else:
        account.config("PythonRuntime=python3.11")
        account.has_no_stack()
    with pytest.raises(LocalStackError, match=r"python3\.11") as told:
        account.deploy()
    assert "python3.12" in told.value.next_step
    assert account.commands == []


def test_a_list_of_services_too_long_for_lambda_is_refused_before_the_build(
    account: Account,
) -> None:
    services = ",".join(f'"crm{n}":"https://crm{n}.example.com/v1"' for n in range(60))
    account.config(f"Services='{{{services}}}'")
    account.has_no_stack()
    with pytest.raises(
        LocalStackError, match=r"Lambda takes 4,096.*parameter Services has"
    ) as told:
        account.deploy()
    assert "shorten Services by" in told.value.next_step
    assert account.commands == []


def test_what_a_deployment_kept_is_marked_and_so_is_what_samconfig_sets(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sam deploy` keeps what it is not told: a new default changes no existing stack."""
    account.config("Stage=prod")
    account.has_stack(Stage="prod", LeaseSeconds="60", RetentionDays="30", AlarmEmail="")
    aws_deployment.explain(Sources(account.project), "dev")
    told = capsys.readouterr().out
    lines = {line[2:].split()[0]: line for line in told.splitlines() if line[2:].split()}
    assert lines["Stage"].split() == ["*", "Stage", "prod", "(default:", "dev)"]
    assert lines["RetentionDays"].split() == ["!", "RetentionDays", "30", "(default:", "90)"]
    assert lines["LeaseSeconds"].split() == ["LeaseSeconds", "60"]
    assert lines["AlarmEmail"].split() == ["AlarmEmail", "(none)"]
    assert "Write the value that you want into parameter_overrides" in told
    assert "export SHIFTWORK_URL=https://api.example.com" in told
    # The shell's region and profile may be others.
    assert "--region eu-west-1 " in told


def test_without_a_kept_value_nothing_is_said_of_one(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.config("Stage=prod")
    account.has_stack(Stage="prod")
    aws_deployment.explain(Sources(account.project), "dev")
    assert "!" not in capsys.readouterr().out


def test_a_stack_that_was_never_deployed_has_no_parameters_to_show(account: Account) -> None:
    account.has_no_stack()
    with pytest.raises(LocalStackError, match="shiftwork-dev is not deployed") as raised:
        aws_deployment.explain(Sources(account.project), "dev")
    assert raised.value.next_step == "shiftwork deploy dev"


def test_a_reservation_that_lambda_would_refuse_is_refused_before_the_build(
    account: Account,
) -> None:
    account.config("RunJobsConcurrency=950")
    account.has_no_stack()
    account.has_quota()
    for _ in RESERVATIONS:
        account.quotas.add_client_error("get_function_concurrency", "ResourceNotFoundException")
    with pytest.raises(LocalStackError, match="RunJobsConcurrency=950 would leave 50"):
        aws_deployment.deploy(Sources(account.project), "dev", lambda: None)
    assert account.commands == []


@pytest.mark.parametrize("value", ["many", "1.5", "-1", ""])
def test_a_reservation_that_is_no_number_is_refused_before_the_build(
    account: Account, value: str
) -> None:
    account.config(f"RunJobsConcurrency={value}")
    account.has_no_stack()
    with pytest.raises(LocalStackError, match=r"RunJobsConcurrency is .* not a whole number"):
        aws_deployment.deploy(Sources(account.project), "dev", lambda: None)
    assert account.commands == []


def test_a_deployment_to_new_tables_is_refused_while_requests_are_open(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        def __init__(self, url: str, token: str) -> None:
            assert (url, token) == ("https://api.example.com", "secret")

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def list_all(self, *, status: str) -> Iterator[dict[str, str]]:
            yield {"request_id": f"a {status} one"}

    monkeypatch.setattr(aws_deployment, "ShiftworkClient", Client)
    monkeypatch.setitem(OUTPUTS, "Schema", "1")
    account.has_stack()
    with pytest.raises(LocalStackError, match="a Queuing one, a Inprogress one"):
        account.deploy()
    assert account.commands == []
