"""The region that the SAM CLI gets."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from shiftwork.local import aws_deployment, tools


@pytest.mark.parametrize(
    ("command", "env", "expected"),
    [
        ("deploy", {}, None),
        ("deploy", {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ("deploy", {"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ("deploy", {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ("validate", {}, "us-east-1"),
        ("validate", {"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
    ],
)
def test_no_guess_overrides_the_profiles_region(
    command: str, env: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}

    def run(call: list[str], env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        seen.update(env)
        return subprocess.CompletedProcess(call, 0)

    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tools, "sam", lambda *_: Path("sam"))
    monkeypatch.setattr(subprocess, "run", run)
    assert aws_deployment.run_sam(Path(), Path(), [command]) == 0
    assert seen.get("AWS_DEFAULT_REGION") == expected
