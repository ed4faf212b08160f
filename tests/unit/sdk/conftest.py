"""Fixtures of the SDK's tests: an API in memory, and a runner of commands."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner, Result

from shiftwork.cli import app as commands
from shiftwork.cli import connection
from shiftwork.cli.render import local_time
from tests.unit.sdk.fake_api import FakeApi
from tests.unit.sdk.fake_workspaces import NOW, ZONE

Run = Callable[..., Result]


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def run(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs a command against the API, at NOW in ZONE, without waiting."""
    monkeypatch.setattr(connection, "connect", api.client)
    monkeypatch.setattr(local_time, "now", lambda: NOW)
    monkeypatch.setattr(local_time, "zone", lambda: ZoneInfo(ZONE))
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(commands.app, list(arguments), input=stdin)

    return invoke
