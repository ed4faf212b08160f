"""What the tests of the SDK share."""

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


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def run(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command line against the API, at NOW in ZONE; waiting takes no time."""
    monkeypatch.setattr(connection, "connect", api.client)
    monkeypatch.setattr(local_time, "now", lambda: NOW)
    monkeypatch.setattr(local_time, "zone", lambda: ZoneInfo(ZONE))
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(commands.app, list(arguments), input=stdin)

    return invoke
