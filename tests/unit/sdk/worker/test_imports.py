"""Modules import optional packages only when these are used."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("shiftwork", ["prometheus_client", "opentelemetry", "asyncio"]),
        ("shiftwork.cli.app", ["prometheus_client", "opentelemetry"]),
        ("shiftwork.worker", ["prometheus_client", "opentelemetry"]),
    ],
)
def test_a_module_does_not_import_optional_packages(module: str, unwanted: list[str]) -> None:
    code = f"import sys, {module}; print([m for m in {unwanted!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
