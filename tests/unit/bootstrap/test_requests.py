"""RunJobs' targets, and the client that calls it, as they are built for a deployment."""

from __future__ import annotations

import subprocess
import sys

from shiftwork_core.ports.world import CALL_WAIT

#: Run in its own process, since bootstrap keeps what it builds for the life of a process.
BUILD = """
from shiftwork_core.bootstrap import requests
from shiftwork_core.domain.requests.definitions import Target

for target in Target:
    print(target, type(requests._logged_target(target)).__name__)
"""


def test_the_lines_of_every_target_but_the_workers_carry_the_keys_of_the_job() -> None:
    settings = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test"}
    done = subprocess.run(
        [sys.executable, "-c", BUILD],
        env=settings | {"AWS_SECRET_ACCESS_KEY": "test"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "python LoggedTarget",
        "lambda LoggedTarget",
        "http LoggedTarget",
        "worker NoneType",
    ]


CALLER = """
from shiftwork_core.bootstrap import world

config = world._calling_client().meta.config
print(config.read_timeout, config.retries["total_max_attempts"])
"""


def test_a_called_batch_is_called_once_and_waited_for_no_longer_than_the_wait() -> None:
    settings = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test"}
    done = subprocess.run(
        [sys.executable, "-c", CALLER],
        env=settings | {"AWS_SECRET_ACCESS_KEY": "test"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{CALL_WAIT.total_seconds()} 1"
