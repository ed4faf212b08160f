"""Commands for the Makefile: `python -m shiftwork.local <command>`.

sam ...                 Run the SAM CLI against your AWS account; install it first if need be.
after-deploy <stack>    Print how to reach a stack on AWS.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from shiftwork.local import tools
from shiftwork.local.errors import LocalStackError
from shiftwork.local.files import find_project


def run_sam(arguments: list[str]) -> int:
    """Run the SAM CLI in the current folder; return its exit code."""
    project = find_project(Path.cwd())
    cache = project / ".shiftwork"
    sam = tools.sam(project, cache, lambda line: print(line, file=sys.stderr))
    env = {
        **os.environ,
        "PATH": f"{tools.folder_of_uv()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(cache / "sam"),
    }
    # SAM reads AWS_DEFAULT_REGION and the profile; a guess must not override the profile.
    if region := os.environ.get("AWS_REGION"):
        env["AWS_DEFAULT_REGION"] = region
    elif arguments[:1] == ["validate"]:  # It requires a region, though nothing depends on it.
        env.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    return subprocess.run([str(sam), *arguments], env=env, check=False).returncode


def explain_access(stack_name: str) -> None:
    """Print the commands that point `shiftwork` to a stack on AWS."""
    import boto3

    client = boto3.client("cloudformation", region_name=os.environ.get("AWS_REGION"))
    [stack] = client.describe_stacks(StackName=stack_name)["Stacks"]
    outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
    print(
        "\nTo use it, with the AWS CLI and jq:\n\n"
        f"export SHIFTWORK_URL={outputs['ApiUrl']}\n"
        "export SHIFTWORK_TOKEN=$(aws secretsmanager get-secret-value --query SecretString \\\n"
        f"  --output text --secret-id {outputs['TokenSecretArn']} | jq -r .admin)\n"
        "shiftwork requests"
    )


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code."""
    match arguments:
        case ["sam", *rest]:
            try:
                return run_sam(rest)
            except LocalStackError as error:
                print(f"error: {error.message}\nnext: {error.next_step}", file=sys.stderr)
                return 1
        case ["after-deploy", stack_name]:
            explain_access(stack_name)
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
