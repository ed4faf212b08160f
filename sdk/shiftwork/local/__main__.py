"""Commands for the Makefile: `python -m shiftwork.local <command>`.

sam ...              Run the SAM CLI against your AWS account; install it first if need be.
deploy <env>         Build and deploy an environment of samconfig.toml to AWS.
after-deploy <env>   Print an environment's parameters, and how to reach its stack.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from shiftwork.local import aws_deployment
from shiftwork.local.errors import LocalStackError
from shiftwork.local.files import find_project


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code."""
    match arguments:
        case ["sam", *rest]:
            return _explained(lambda: aws_deployment.run_sam(rest))
        case ["deploy", environment]:
            return _explained(lambda: aws_deployment.deploy(_project(), environment))
        case ["after-deploy", environment]:
            return _explained(lambda: aws_deployment.explain(_project(), environment))
    print(__doc__, file=sys.stderr)
    return 2


def _project() -> Path:
    return find_project(Path.cwd())


def _explained(command: Callable[[], int]) -> int:
    """Return the command's exit code; if it fails, say why and what to do next."""
    try:
        return command()
    except LocalStackError as error:
        print(f"error: {error.message}\nnext: {error.next_step}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
