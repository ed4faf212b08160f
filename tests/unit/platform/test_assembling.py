"""A project and the platform in one tree, as it is built and deployed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shiftwork.local.sources import Sources
from shiftwork.local.target import Target
from shiftwork.local.template import read_template
from shiftwork_platform.assembling import assemble
from shiftwork_platform.project import NoProject, find
from shiftwork_platform.starting import create

SETTINGS = """
name = "billing"
[services]
crm = "https://crm.example.com"
[parameters]
Alarms = false
FunctionTargets = ["arn:1", "arn:2"]
[stages.prod]
region = "eu-central-1"
parameters = {LogRetentionDays = 90}
services = {mail = {url = "http://10.0.0.7", private = true}}
[[policy]]
Effect = "Allow"
Action = "s3:GetObject"
Resource = "arn:aws:s3:::acme/*"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = create(tmp_path, "billing")
    (folder / "shiftwork.toml").write_text(SETTINGS)
    return folder


def assembled(root: Path) -> Path:
    tree = root / ".shiftwork" / "tree"
    assemble(find(root), tree)
    return tree


def test_the_callbacks_are_the_projects_and_no_others(root: Path) -> None:
    function = assembled(root) / "functions" / "run_jobs"
    assert {file.name for file in (function / "callbacks").glob("*.py")} == {"invoices.py"}


@pytest.mark.parametrize("name", ["callbacks", "jobs"])
def test_run_jobs_registers_the_projects_callbacks(name: str, root: Path) -> None:
    (root / "callbacks").rename(root / name)
    (root / "shiftwork.toml").write_text(f'callbacks = "{name}"')
    tree = assembled(root)
    paths = [str(tree / "functions" / "run_jobs"), str(tree / "layers" / "core")]
    code = (
        f"import sys; sys.path[:0] = {paths!r}\n"
        "import registering\nfrom shiftwork_core.callbacks import CALLBACKS\n"
        "print(*sorted(CALLBACKS))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.split() == ["invoices.report", "invoices.send"]


def test_what_callbacks_require_has_the_platforms_versions(root: Path) -> None:
    (root / "callbacks" / "requirements.txt").write_text("humanize\n")
    function = assembled(root) / "functions" / "run_jobs"
    assert (function / "requirements.txt").read_text() == "-c platform.txt\nhumanize\n"
    assert "boto3==" in (function / "platform.txt").read_text()


def test_callbacks_may_do_what_the_projects_policy_allows(root: Path) -> None:
    template = read_template(assembled(root))
    policies = template["Resources"]["RunJobsFunction"]["Properties"]["Policies"]
    assert policies[-1] == {
        "Statement": [
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::acme/*"}
        ]
    }


def test_a_stage_is_deployed_with_its_own_parameters_and_the_projects(root: Path) -> None:
    target = Target.of(Sources(root, find(root)), "prod")
    assert (target.stack_name, target.region) == ("billing-prod", "eu-central-1")
    assert target.confirms
    assert target.overrides == {
        "Stage": "prod",
        "Alarms": "false",
        "FunctionTargets": "arn:1,arn:2",
        "LogRetentionDays": "90",
        "Services": json.dumps(
            {
                "crm": "https://crm.example.com",
                "mail": {"url": "http://10.0.0.7", "private": True},
            }
        ),
    }


def test_what_was_removed_from_the_project_is_not_deployed_again(root: Path) -> None:
    assembled(root)
    (root / "callbacks" / "invoices.py").rename(root / "callbacks" / "bills.py")
    folder = assembled(root) / "functions" / "run_jobs" / "callbacks"
    assert {file.name for file in folder.glob("*.py")} == {"bills.py"}


@pytest.mark.parametrize(
    ("name", "told"),
    [("nowhere", "is no folder"), ("my-jobs", "cannot be called"), ("app", "cannot be called")],
)
def test_a_callbacks_folder_that_cannot_be_packed_is_refused(
    name: str, told: str, root: Path
) -> None:
    if name != "nowhere":
        (root / "callbacks").rename(root / name)
    (root / "shiftwork.toml").write_text(f'callbacks = "{name}"')
    with pytest.raises(NoProject, match=told):
        assembled(root)


def test_a_project_in_a_checkout_is_its_own(root: Path) -> None:
    (root.parent / "functions").mkdir()
    (root.parent / "template.yaml").touch()
    found = Sources.find(root / "callbacks")
    assert (found.root, found.folder) == (root, root / ".shiftwork" / "tree")
    assert Sources.find(root.parent) == Sources(root.parent)
