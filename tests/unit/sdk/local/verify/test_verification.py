"""A verification removes its stack however it ends, and reports what it did until then."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shiftwork.local import LocalStackError, aws_deployment
from shiftwork.local.target import Target
from shiftwork.local.verify import places, verification
from shiftwork.local.verify.demos import DEMOS, NEEDS_LOCAL
from shiftwork.local.verify.removal import Left, Removal, Uploads
from shiftwork.local.verify.report import Part, Report, Verdict
from tests.template import ROOT

LEFT = Left("the table t", "no", "aws dynamodb delete-table --table-name t")


@dataclass
class Place:
    """A place where deploying does what a test says."""

    deploying: Callable[[], object] = dict
    is_local: bool = False
    title = "AWS, eu-west-1"
    options = "--region eu-west-1"
    uploads: Uploads | None = None
    removed: list[str] = field(default_factory=list)

    def deploy(self) -> Mapping[str, str]:
        self.deploying()
        return {"SHIFTWORK_URL": "https://api.example.com"}

    def client(self, service: str) -> Any:
        raise AssertionError(service)

    def source(self, resources: Mapping[str, str]) -> Any:
        raise AssertionError


Verify = Callable[..., Report]


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Verify:
    """Return a verification in a place, whose demos pass and whose step cannot be counted."""
    place = Place()

    def run(removal: Removal, uploads: Uploads | None) -> list[Left]:
        place.removed.append(removal.stack_name)
        return [LEFT]

    def run_demo(name: str, *given: object) -> Part:
        return Part(f"shiftwork {name}", Verdict.PASSED)

    def do(where: Place, *skipped: str) -> Report:
        nonlocal place
        place = where
        return verification.verify(tmp_path, "dev", skipped, lambda line: None)

    monkeypatch.setattr(verification, "place_of", lambda *given: place)
    monkeypatch.setattr(verification, "run_demo", run_demo)
    monkeypatch.setattr(Removal, "run", run)
    return do


def verdicts(report: Report) -> dict[str, Verdict]:
    return {part.name: part.verdict for part in report.parts}


def raising(error: BaseException) -> Callable[[], object]:
    def do() -> None:
        raise error

    return do


def test_a_deployment_that_fails_is_removed_and_nothing_is_run_on_it(verify: Verify) -> None:
    place = Place(raising(LocalStackError("sam ended with exit code 1.")))
    report = verify(place)
    assert verdicts(report) == {"deploy": Verdict.FAILED}
    assert report.parts[0].note == "LocalStackError: sam ended with exit code 1."
    assert place.removed == [report.facts["stack"]]
    assert report.left == [LEFT]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_and_the_stack_is_removed(verify: Verify, number: int) -> None:
    place = Place(lambda: os.kill(os.getpid(), number))
    report = verify(place)
    name = signal.Signals(number).name
    assert verdicts(report) == {f"interrupted by {name}": Verdict.FAILED}
    assert place.removed == [report.facts["stack"]]


def test_a_second_signal_does_not_stop_the_removal(
    verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(removal: Removal, uploads: Uploads | None) -> list[Left]:
        os.kill(os.getpid(), signal.SIGINT)
        return [LEFT]

    monkeypatch.setattr(Removal, "run", run)
    assert verify(Place(lambda: os.kill(os.getpid(), signal.SIGINT))).left == [LEFT]


def test_a_part_that_fails_keeps_no_other_from_running(verify: Verify) -> None:
    found = verdicts(verify(Place(is_local=True)))
    assert found.pop("a step of 1,000 jobs") is Verdict.FAILED
    assert found == dict.fromkeys(
        ("deploy", *(f"shiftwork {demo}" for demo in DEMOS)), Verdict.PASSED
    )


def test_on_aws_the_demo_that_needs_this_machine_is_skipped_with_its_reason(
    verify: Verify,
) -> None:
    [skipped] = [part for part in verify(Place()).parts if part.verdict is Verdict.SKIPPED]
    assert skipped.name == "shiftwork demo-workspaces"
    assert skipped.note == NEEDS_LOCAL["demo-workspaces"]


def test_two_runs_have_stacks_of_their_own(verify: Verify) -> None:
    names = {verify(Place()).facts["stack"] for _ in range(2)}
    assert len(names) == 2


def test_a_throw_away_stack_mails_nobody_and_reserves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "template.yaml", tmp_path)
    (tmp_path / "samconfig.toml").write_text(
        """[prod.deploy.parameters]
        stack_name = "shiftwork-prod"
        s3_bucket = "ours"
        parameter_overrides = "Stage=prod AlarmEmail=a@example.com RunJobsConcurrency=200 \
          LogRetentionDays=90 Architecture=x86_64"
        """.replace("\\\n          ", "")
    )
    monkeypatch.setattr(Target, "session", lambda target: _Session())
    monkeypatch.setattr(aws_deployment, "find_stack", lambda client, name: None)
    place = places.AwsPlace.of(tmp_path, "prod", "shiftwork-verify-1")
    assert place.target.stack_name == "shiftwork-verify-1"
    assert place.target.overrides == {
        "Stage": "verify",
        "Alarms": "false",
        "LogRetentionDays": "1",
        "Architecture": "x86_64",
        # The template's defaults, said aloud: samconfig.toml would say otherwise.
        "AlarmEmail": "",
        "RunJobsConcurrency": "0",
    }
    assert place.uploads == Uploads("ours", "shiftwork-verify-1")
    deployed: list[Any] = []

    def deploy_unasked(*given: object) -> None:
        deployed.extend(given)
        raise LocalStackError("sam build failed.")

    monkeypatch.setattr(aws_deployment, "deploy_unasked", deploy_unasked)
    with pytest.raises(LocalStackError, match="sam build failed"):
        place.deploy()
    options = ["--stack-name", "shiftwork-verify-1", "--s3-prefix", "shiftwork-verify-1"]
    assert deployed[3] == [*options, "--no-confirm-changeset"]


class _Session:
    region_name = "eu-west-1"

    def client(self, service: str) -> None:
        """Return nothing that could call AWS."""
