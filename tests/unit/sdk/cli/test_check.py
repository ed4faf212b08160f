"""Test `shiftwork check`, and what commands say without the platform."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from shiftwork.cli.exit_codes import Exit

Run = Callable[..., Result]

GREET = """\
kind: request-type
name: greet
steps: [{name: one, jobs: [{name: greet, type: greet.one}]}]
---
kind: job-type
name: greet.one
target: http
http: {service: crm, path: /greetings}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shiftwork.toml").write_text('[services]\ncrm = "https://crm.test"\n')
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "greet.yaml").write_text(GREET)
    monkeypatch.chdir(tmp_path / "definitions")
    return tmp_path


def test_a_project_without_faults_is_checked_from_any_folder_of_it(run: Run, project: Path) -> None:
    result = run("check")
    assert (result.exit_code, result.stdout) == (Exit.OK, "2 definitions, no faults.\n")
    told = json.loads(run("check", "-o", "json").stdout)
    assert told == {"definitions": 2, "errors": [], "doubts": []}


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("greet.one}", "greet.two}", "3:42: steps[0].jobs[0].type: there is no job type 'greet.tw"),
        ("target: http", "tarket: http", "7:1: tarket: is not a known field; did you mean target?"),
        ("crm,", "crx,", "8:8: http.service: no service is named 'crx' (there are: crm)"),
        (
            "steps: [{name: one, jobs: [{name: greet,",
            "params: {properties: {who: {}}, additionalProperties: false}\n"
            "steps: [{name: one, jobs: [{name: greet, for_each: params.whoo,",
            "4:42: steps[0].jobs[0].for_each: 'params.whoo' yields nothing: there is no 'whoo' "
            "here, since the schema of the params allows no such field; did you mean 'who'?",
        ),
        ("type: greet.one", "for_eahc: x, type: greet.one", "did you mean for_each?"),
        ("name: greet.one", "name: [", "not YAML"),
    ],
)
def test_each_fault_is_named_where_it_stands(
    right: str, wrong: str, fault: str, run: Run, project: Path
) -> None:
    file = project / "definitions" / "greet.yaml"
    file.write_text(GREET.replace(right, wrong, 1))
    result = run("check")
    assert result.exit_code == Exit.REFUSED
    assert f"{file}:" in result.stderr
    assert fault in result.stderr


def test_what_may_be_misspelt_is_told_and_is_no_fault(run: Run, project: Path) -> None:
    file = project / "definitions" / "greet.yaml"
    text = GREET.replace("steps:", "params: {properties: {who: {}}}\nsteps:").replace(
        "type: greet.one}]", "type: greet.one, for_each: params.whoo}]"
    )
    file.write_text(text)
    result = run("check")
    assert result.exit_code == Exit.OK
    assert f"{file}:4:" in result.stdout
    assert "did you mean 'who'?" in result.stdout
    [doubt] = json.loads(run("check", "-o", "json").stdout)["doubts"]
    assert doubt["path"].endswith("steps[0].jobs[0].for_each")


def test_services_are_not_judged_where_they_are_not_known(run: Run, project: Path) -> None:
    assert run("check", "greet.yaml").exit_code == Exit.OK


def test_without_the_platform_a_command_says_how_to_install_it(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shiftwork_platform.project", None)
    result = run("check")
    assert result.exit_code != Exit.OK
    assert "pip install 'shiftwork[platform]'" in result.stderr
