"""Each kind of driver can be built, with no import that only the API needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shiftwork_core import bootstrap
from shiftwork_core.ports.workspaces import DriverError

#: Run in its own process, since bootstrap keeps what it builds for the life of a process.
BUILD = """
import sys
from shiftwork_core import bootstrap

for kind in ("ec2", "ecs", "rds", "request", "http"):
    driver = bootstrap.workspaces.driver_for(kind)
    assert bootstrap.workspaces.driver_for(kind) is driver
    print(kind, type(driver).__name__)
print(sorted({"jsonschema", "pydantic"} & set(sys.modules)))
"""


def test_each_kind_has_a_driver_and_none_imports_what_only_the_api_needs() -> None:
    """The edge layer imports slowly, and only a request type with a schema needs it."""
    settings = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test"}
    done = subprocess.run(
        [sys.executable, "-c", BUILD],
        env=settings | {"AWS_SECRET_ACCESS_KEY": "test"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "ec2 Ec2Driver",
        "ecs EcsDriver",
        "rds RdsDriver",
        "request RequestDriver",
        "http HttpDriver",
        "[]",
    ]


def test_an_unknown_kind_is_a_final_error_that_names_the_known_ones() -> None:
    with pytest.raises(DriverError, match="no driver 'k8s'; give one of ec2, ecs, h") as raised:
        bootstrap.workspaces.driver_for("k8s")
    assert raised.value.is_final
