"""The tools that read the local stack's metrics say so when there is none, without a traceback."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools import alarms
from tools.local_metrics import local_lines

SENTENCE = "No stack is running. Start one with: make up\n"


def test_without_a_stack_the_next_command_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHIFTWORK_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        [*local_lines(datetime.now(UTC))]
    assert (caught.value.code, capsys.readouterr().err) == (5, SENTENCE)


def test_help_needs_no_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHIFTWORK_HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["alarms", "--help"])
    with pytest.raises(SystemExit) as caught:
        alarms.main()
    assert caught.value.code == 0
    assert "which of them would ring" in capsys.readouterr().out
