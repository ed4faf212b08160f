"""What the tests of the SDK share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from shiftwork.cli import app as commands
from tests.unit.sdk.fake_api import FakeApi


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def run(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command line against the API; waiting takes no time."""
    monkeypatch.setattr(commands, "connect", api.client)
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(commands.app, list(arguments), input=stdin)

    return invoke
