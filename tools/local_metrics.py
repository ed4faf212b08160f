"""Read what the local stack's functions have written to their logs: lines, and metrics in them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import boto3
from botocore.exceptions import EndpointConnectionError

from shiftwork.api.env_file import read_env_file
from shiftwork.cli.exit_codes import Exit
from tools.emf import Value, read

ROOT = Path(__file__).resolve().parents[1]
_GROUPS = "/aws/lambda/shiftwork-local-"


def local_values(since: datetime) -> list[Value]:
    """Return the values of the stack in SHIFTWORK_HOME, `.shiftwork` by default."""
    return [*read(local_lines(since))]


def local_lines(since: datetime) -> Iterator[str]:
    """Yield the lines of the functions' logs; exit if no stack runs, and say so."""
    try:
        yield from _lines(since)
    except EndpointConnectionError:
        _exit()


def _lines(since: datetime) -> Iterator[str]:
    home = ROOT / os.environ.get("SHIFTWORK_HOME", ".shiftwork")
    env = read_env_file(home / "local.env")
    if "AWS_ENDPOINT_URL" not in env:
        _exit()
    logs = boto3.client(
        "logs",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name=env["AWS_DEFAULT_REGION"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    groups = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=_GROUPS)
    events = logs.get_paginator("filter_log_events")
    since_ms = round(since.timestamp() * 1000)
    for group in (group for page in groups for group in page["logGroups"]):
        for page in events.paginate(logGroupName=group["logGroupName"], startTime=since_ms):
            yield from (event["message"] for event in page["events"])


def _exit() -> NoReturn:
    print("No stack is running. Start one with: make up", file=sys.stderr)
    sys.exit(Exit.UNREACHABLE)
