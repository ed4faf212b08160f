"""Run the SAM CLI against your AWS account: `python -m shiftwork.local sam ...`.

The first time it is installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from shiftwork.local import aws_deployment
from shiftwork.local.errors import LocalStackError
from shiftwork.local.sources import Sources


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code."""
    if arguments[:1] != ["sam"]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        sources = Sources.find(Path.cwd())
        return aws_deployment.run_sam(sources.tree(), sources.cache, arguments[1:])
    except LocalStackError as error:
        print(f"error: {error.message}\nnext: {error.next_step}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
