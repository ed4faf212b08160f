"""`shiftwork verify`: what it prints and keeps, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from shiftwork.local.verify import verification
from shiftwork.local.verify.figures import read_expected
from shiftwork.local.verify.removal import Left
from shiftwork.local.verify.report import Part, Report, Verdict, compare

Run = Callable[..., Result]

LEFT = Left("the table t", "no", "aws dynamodb delete-table --table-name t")
NAME = "shiftwork-verify-1a2b"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "template.yaml").touch()
    (tmp_path / "functions").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def report(project: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Return the report of every verification."""
    expected = read_expected()
    found = compare(expected, expected.figures)
    report = Report({"stack": NAME}, expected, "x", [Part("deploy", Verdict.PASSED)], found)

    def verify(*given: Any) -> Report:
        report.facts["given"] = repr(given[1:3])
        return report

    monkeypatch.setattr(verification, "verify", verify)
    return report


def test_the_report_is_printed_alone_and_kept(run: Run, report: Report, project: Path) -> None:
    result = run("verify", "dev", "--skip", "demo-workers")
    assert result.exit_code == 0
    assert report.facts["given"] == "('dev', ['demo-workers'])"
    assert result.stdout == report.to_markdown()
    assert (project / ".shiftwork" / f"{NAME}.md").read_text() == result.stdout


def test_a_verification_that_fails_has_an_exit_code_of_its_own(run: Run, report: Report) -> None:
    report.left = [LEFT]
    result = run("verify", "dev", "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"verdict": "FAILED", "report": report.to_markdown()}


def test_a_demo_that_does_not_exist_cannot_be_skipped(run: Run, report: Report) -> None:
    result = run("verify", "dev", "--skip", "demos")
    assert result.exit_code == 2
    assert "given" not in report.facts


@pytest.mark.parametrize("left", [[], [LEFT]])
def test_a_removal_by_name_says_what_is_left_and_how_to_remove_it(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, left: list[Left]
) -> None:
    asked: list[Any] = []

    def remove(*given: Any) -> list[Left]:
        asked.extend(given[1:3])
        return left

    monkeypatch.setattr(verification, "remove", remove)
    result = run("verify", "dev", "--remove", NAME)
    assert asked == ["dev", NAME]
    assert result.exit_code == len(left)
    assert (LEFT.command in result.stderr) is bool(left)
