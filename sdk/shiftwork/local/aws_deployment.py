"""Build Shiftwork and deploy it to AWS with the SAM CLI."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from shiftwork.api.client import ShiftworkClient
from shiftwork.local import tools
from shiftwork.local.builds import folder_of
from shiftwork.local.change_set import ChangeSets, words_of
from shiftwork.local.concurrency import RESERVATIONS, check_concurrency
from shiftwork.local.environment_size import Place, require_room
from shiftwork.local.errors import LocalStackError
from shiftwork.local.files import last_lines, locked
from shiftwork.local.parameters import as_options, short_services
from shiftwork.local.schema import check_schema
from shiftwork.local.sources import Sources
from shiftwork.local.target import Target, aws_errors
from shiftwork.local.template import defaults_of, read_template

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_cloudformation import CloudFormationClient

#: What uv calls Lambda's processors, and its C library: it fetches packages for them anywhere.
_PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
#: The parameters that a build is made for.
_BUILT_FOR = ("PythonRuntime", "Architecture")
#: The longest value of a parameter that is shown whole.
_LONGEST_VALUE = 60


def run_sam(
    tree: Path,
    cache: Path,
    arguments: Sequence[str],
    settings: Mapping[str, str] | None = None,
    log: IO[str] | None = None,
) -> int:
    """Run the SAM CLI in the folder of template.yaml; return its exit code.

    Parameters
    ----------
    settings
        More variables.
    log
        What gets its output; None: the terminal.
    """
    sam = tools.sam(tree, cache, lambda line: print(line, file=sys.stderr))
    env = {
        **os.environ,
        **(settings or {}),
        "PATH": f"{tools.folder_of_uv()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(cache / "sam"),
    }
    # SAM reads AWS_DEFAULT_REGION and the profile; a guess must not override the profile.
    if region := os.environ.get("AWS_REGION"):
        env["AWS_DEFAULT_REGION"] = region
    elif arguments[:1] == ["validate"]:  # It requires a region, though nothing depends on it.
        env.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    command = [str(sam), *arguments]
    done = subprocess.run(command, cwd=tree, env=env, stdout=log, stderr=log, check=False)
    return done.returncode


def deploy(sources: Sources, environment: str, agree: Callable[[], None]) -> None:
    """Build a stage, say what its deployment changes, and deploy it.

    Parameters
    ----------
    agree
        Asks whether to go on, if the stage's `confirm_changeset` wants that; raises if not.

    Raises
    ------
    LocalStackError
        If there is no such stage, or the deployment is refused or fails.
    """
    target, tree = Target.of(sources, environment), sources.folder
    changes = ChangeSets(target.session().client("cloudformation"), target.stack_name)
    before = changes.ids()
    deploy_unasked(target, tree, sources.cache, ["--no-execute-changeset"])
    found = changes.ids() - before
    print(f"\nWhat changes in {target.stack_name}:\n" if found else "\nNothing changes.")
    for new in found:
        print("\n".join(words_of(changes.changes(new))), flush=True)
        if target.confirms:
            try:
                agree()
            except BaseException:
                changes.discard(new)
                raise
        changes.carry_out(new, print)
    _explain(target, tree)


def deploy_unasked(target: Target, tree: Path, cache: Path, options: Sequence[str]) -> None:
    """Check what AWS would refuse, then run `sam build` and `sam deploy` with more options.

    Raises
    ------
    LocalStackError
        If something is refused or fails.
    """
    session, template = target.session(), read_template(tree)
    stack = find_stack(session.client("cloudformation"), target.stack_name)
    kept = _parameters_in(stack)
    defaults = defaults_of(template)
    overrides = _checked(target, defaults)
    effective = defaults | kept | overrides
    _check_runtime(effective["PythonRuntime"], target)
    require_room(template, Place(target.stack_name, session.region_name, effective))
    reserved = {name: _whole_number(name, effective) for name in RESERVATIONS}
    check_concurrency(session.client("lambda"), target.stack_name, reserved, print)
    if outputs := outputs_of(stack):
        check_schema(outputs, template, lambda: _connect(session, outputs), print)
    # Named even if the stack keeps them: what is built is what is deployed.
    parameters = overrides | {name: effective[name] for name in _BUILT_FOR}
    builds = cache / "aws-build"
    with locked(builds.with_suffix(".lock")):
        _build_and_deploy(builds, target, parameters, tree, options)


def explain(sources: Sources, environment: str) -> None:
    """Print a stack's parameters, and the commands that point `shiftwork` to it.

    Raises
    ------
    LocalStackError
        If the stack is not deployed.
    """
    _explain(Target.of(sources, environment), sources.folder)


def _explain(target: Target, tree: Path) -> None:
    session = target.session()
    stack = find_stack(session.client("cloudformation"), target.stack_name)
    outputs = outputs_of(stack)
    if not outputs:
        raise LocalStackError(
            f"{target.stack_name} is not deployed.", f"shiftwork deploy {target.environment}"
        )
    print(f"\nThe parameters of {target.stack_name}:\n")
    defaults = defaults_of(read_template(tree))
    print("\n".join(parameter_lines(defaults, _parameters_in(stack), target)))
    where = f"--region {session.region_name}"
    if target.profile:
        where += f" --profile {target.profile}"
    print(
        "\nTo use it, with the AWS CLI and jq:\n\n"
        f"export SHIFTWORK_URL={outputs['ApiUrl']}\n"
        "export SHIFTWORK_TOKEN=$(aws secretsmanager get-secret-value --query SecretString \\\n"
        f"  --output text {where} \\\n"
        f"  --secret-id {outputs['TokenSecretArn']} | jq -r .admin)\n"
        "shiftwork requests"
    )


def parameter_lines(
    defaults: Mapping[str, str], deployed: Mapping[str, str], target: Target
) -> Iterator[str]:
    """Yield a line for each parameter, marked if it is not as the template has it.

    A `*` marks what the stage sets, a `!` what it does not: that is an earlier deployment's.
    """
    is_kept = False
    width = max(map(len, defaults))
    for name, default in defaults.items():
        value = deployed.get(name, default)
        line = f"  {name:{width}}  {_shown(value)}"
        if value != default:
            is_kept |= name not in target.overrides
            mark = "*" if name in target.overrides else "!"
            line = f"{mark} {name:{width}}  {_shown(value)} (default: {_shown(default)})"
        yield line.rstrip()
    yield "\n* differs from the template's default."
    if is_kept:
        yield (
            "! differs too, and nothing sets it: a deployment keeps what an earlier one has set."
            f"\n  Write the value that you want into {target.written_in}, and deploy again."
        )


def _build_and_deploy(
    builds: Path,
    target: Target,
    parameters: Mapping[str, str],
    tree: Path,
    options: Sequence[str],
) -> None:
    """Run `sam build`, then `sam deploy`."""
    python = parameters["PythonRuntime"].removeprefix("python")
    architecture = parameters["Architecture"]
    folder = folder_of(builds, tree, python, architecture)
    folder.remove_others(keep_runtimes=True)
    _provide_python(python)
    settings = {"LAYER_PYTHON": python, "LAYER_PLATFORM": _PLATFORMS.get(architecture, "")}
    # Named, because SAM looks for it beside the template.
    config = ["--config-file", str(tree / "samconfig.toml"), "--config-env", target.environment]
    values = as_options(parameters)
    for command in (
        ["build", *config, *folder.options, *values],
        ["deploy", *config, "--template-file", str(folder.template), *options, *values],
    ):
        name = command[0]
        print({"build": "building functions and layers", "deploy": "uploading them"}[name])
        path = builds.parent / f"aws-sam-{name}.log"
        with path.open("w", encoding="utf-8") as log:
            print(f"sam {shlex.join(command)}\n", file=log, flush=True)
            code = run_sam(tree, builds.parent, command, settings, log)
        if code:
            raise LocalStackError(f"sam {name} failed.\n{last_lines(path)}", f"read {path}")


def _provide_python(version: str) -> None:
    """Have uv install a Python, which makes bytecode; without it, cold starts are slower."""
    uv = str(tools.folder_of_uv() / "uv")
    if subprocess.run([uv, "python", "find", "-q", version], capture_output=True).returncode:
        subprocess.run([uv, "python", "install", "-q", version], check=False)


def _checked(target: Target, defaults: Mapping[str, str]) -> dict[str, str]:
    """Return what the stage sets, with Services in its shortest form.

    Raises
    ------
    LocalStackError
        If it sets what is no parameter of the template. The SAM CLI would ignore it.
    """
    overrides = dict(target.overrides)
    for name in overrides.keys() - defaults.keys():
        raise LocalStackError(
            f"The template has no parameter {name}: {target.written_in} set it.",
            f"correct its name there{_similar(name, defaults)}",
        )
    if services := overrides.get("Services"):
        overrides["Services"] = short_services(
            services, "The parameter Services", f"correct {target.written_in}"
        )
    return overrides


def _check_runtime(runtime: str, target: Target) -> None:
    """Refuse what only the local stack has: Lambda's 3.11 has a C library that is too old."""
    if runtime == "python3.11":
        raise LocalStackError(
            "Lambda's python3.11 cannot load a library of Shiftwork's, RE2.",
            f"set PythonRuntime to python3.12 or later in {target.written_in}",
        )


def _similar(name: str, names: Iterable[str]) -> str:
    found = get_close_matches(name, names, n=1)
    return f"; perhaps it should be {found[0]}" if found else ""


def _whole_number(name: str, parameters: Mapping[str, str]) -> int:
    if not parameters[name].isdecimal():
        raise LocalStackError(
            f"The parameter {name} is {parameters[name]!r}, not a whole number.",
            "correct the stage's parameters",
        )
    return int(parameters[name])


def find_stack(client: CloudFormationClient, name: str) -> Any:
    """Return the stack, or None if it was never deployed."""
    from botocore.exceptions import ClientError

    with aws_errors():
        try:
            [stack] = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            # That is how CloudFormation says that a stack does not exist.
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise
    # A first change set that nobody has executed leaves such a stack behind.
    return None if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else stack


def outputs_of(stack: Any) -> dict[str, str]:
    """Return a stack's outputs; none are left of a creation that failed."""
    found = stack.get("Outputs", []) if stack else []
    return {one["OutputKey"]: one["OutputValue"] for one in found}


def _connect(session: Session, outputs: Mapping[str, str]) -> ShiftworkClient:
    """Return a client of a stack's API, with its token of an administrator."""
    return ShiftworkClient(outputs["ApiUrl"], admin_token(session, outputs))


def admin_token(session: Session, outputs: Mapping[str, str]) -> str:
    """Read the administrator's token of a stack."""
    with aws_errors():
        secret = session.client("secretsmanager").get_secret_value(
            SecretId=outputs["TokenSecretArn"]
        )
    token: str = json.loads(secret["SecretString"])["admin"]
    return token


def _parameters_in(stack: Any) -> dict[str, str]:
    found = stack.get("Parameters", []) if stack else []
    return {one["ParameterKey"]: one["ParameterValue"] for one in found}


def _shown(value: str) -> str:
    """Return a value as people read it in a line."""
    if not value:
        return "(none)"
    return value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "..."
