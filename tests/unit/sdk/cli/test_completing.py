"""Completing ids and types in a shell, and saying nothing but faults."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from shiftwork.api.errors import Unreachable
from shiftwork.cli import app as commands
from shiftwork.cli import completing, connection
from tests.unit.sdk.conftest import Run
from tests.unit.sdk.fake_api import FakeApi, request, worker
from tests.unit.sdk.fake_workspaces import workspace


@pytest.fixture(autouse=True)
def connected(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "connect_briefly", lambda within_s: api.client())


def completed(words: str, incomplete: str) -> list[str]:
    """Return what bash is offered for the word after these."""
    line = f"shiftwork {words} {incomplete}"
    env = {
        "_SHIFTWORK_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    return CliRunner().invoke(commands.app, [], prog_name="shiftwork", env=env).stdout.split()


@pytest.mark.parametrize(
    "command",
    ["show", "watch", "jobs", "explain", "cancel", "retry", "failures", "logs", "job show"],
)
def test_a_request_is_completed_by_its_id_or_last(command: str, api: FakeApi) -> None:
    api.lives["r-1"] = [request("r-1", "Failed")]
    assert completed(command, "la") == ["last"]
    assert completed(command, "r-") == ["r-1"]


def test_workers_and_workspaces_are_completed_by_their_names(api: FakeApi) -> None:
    api.workers = [[worker("host-1", "idle"), worker("other", "idle")]]
    assert completed("worker show", "ho") == ["host-1"]
    api.workspaces.put(workspace("dev"))
    assert completed("workspace show", "d") == ["dev"]


def test_types_are_completed_where_they_fit(api: FakeApi) -> None:
    api.client().put_definition("request-type", "send-invoices", {})
    api.client().put_definition("job-type", "send.invoice", {})
    assert completed("submit", "send") == ["send-invoices"]
    assert set(completed("types", "send")) == {"send-invoices", "send.invoice"}


@pytest.mark.parametrize("error", [Unreachable("http://a", "refused", is_sent=False), ValueError()])
def test_whatever_fails_completes_nothing_and_says_nothing(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(within_s: float) -> None:
        raise error

    monkeypatch.setattr(connection, "connect_briefly", fail)
    assert completing.requests("") == []
    assert capfd.readouterr() == ("", "")


def test_quiet_leaves_hints_out_and_faults_in(api: FakeApi, run: Run) -> None:
    api.lives["r-1"] = [request("r-1", "Failed")]
    loud, quiet = run("show", "r-1"), run("--quiet", "show", "r-1")
    assert loud.stderr != ""
    assert (quiet.stdout, quiet.stderr) == (loud.stdout, "")
    assert "Error" in run("-q", "show", "no-such-request").stderr
    assert run("show", "r-1").stderr == loud.stderr
