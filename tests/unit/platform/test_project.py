"""The settings of a project, and what is wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shiftwork_platform.project import LONGEST_STACK, NoProject, Project, find, stack_name

SETTINGS = """
name = "billing"
region = "eu-west-1"
[services]
crm = "https://crm.example.com"
mail = {url = "http://10.0.0.7", private = true}
[parameters]
LogRetentionDays = 90
[stages.prod]
region = "eu-central-1"
profile = "prod"
parameters = {RetentionDays = 365}
services = {crm = "https://crm.example.org"}
[stages.test]
confirm = false
[[policy]]
Effect = "Allow"
Action = "s3:GetObject"
Resource = "arn:aws:s3:::acme/*"
"""


def project(folder: Path, settings: str) -> Project:
    (folder / "shiftwork.toml").write_text(settings)
    return find(folder)


def test_a_stage_has_the_projects_settings_unless_it_has_its_own(tmp_path: Path) -> None:
    found = project(tmp_path, SETTINGS)
    prod, test = found.stages["prod"], found.stages["test"]
    assert (prod.region, prod.profile, prod.confirm) == ("eu-central-1", "prod", True)
    assert (test.region, test.profile, test.confirm) == ("eu-west-1", None, False)
    assert found.addresses == {"crm": "https://crm.example.com", "mail": "http://10.0.0.7"}
    assert prod.services == {"crm": "https://crm.example.org"}


def test_every_project_has_a_stage_dev(tmp_path: Path) -> None:
    assert [*project(tmp_path, "").stages] == ["dev"]
    assert [*project(tmp_path, SETTINGS).stages] == ["dev", "prod", "test"]


@pytest.mark.parametrize(
    ("settings", "what", "next_step"),
    [
        ("regoin = 'x'", "regoin is no setting", "Did you mean region?"),
        ("nothing_like_it = 1", "nothing_like_it is no setting", "Remove it"),
        ("name = 1", "name is no text", "Correct it"),
        ("stages = 1", "stages is no table", r"Write \[stages\]"),
        ("stages = {prod = 1}", "stages.prod is no stage", r"\[stages.prod\]"),
        ("[stages.Prod]", "stages.Prod is no stage", r"\[stages.prod\]"),
        ("[stages.prod]\nregoin = 'x'", "stages.prod.regoin", "Did you mean stages.prod.region?"),
        ("[stages.prod]\nconfirm = 1", "stages.prod.confirm is neither", "Correct it"),
        ("[services]\ncrm = 1", "services.crm is no URL", "Write crm = "),
        ("[stages.dev.services]\ncrm = {}", "stages.dev.services.crm is no URL", "Write crm"),
        ("services = {a = {url = 'x', privat = 1}}", "services.a.privat", "services.a.private"),
        ("parameters = []", "parameters is no table", r"Write \[parameters\]"),
        ("policy = {}", "policy is no list", r"\[\[policy\]\]"),
        ("[[policy]]\neffect = 'Allow'", r"policy\[0\].effect is no", r"policy\[0\].Effect"),
        ("[[policy]]\nEffect = 'Allow'", r"policy\[0\] lacks Resource", "Add it"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(
    settings: str, what: str, next_step: str, tmp_path: Path
) -> None:
    with pytest.raises(NoProject, match=what) as refused:
        project(tmp_path, settings)
    assert re.search(next_step, refused.value.next_step)


def test_a_stage_that_is_not_written_down_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(NoProject, match="no stage 'staging'; it has: dev, prod, test") as refused:
        stack_name(project(tmp_path, SETTINGS), "staging")
    assert refused.value.next_step == "Write [stages.staging] into shiftwork.toml"


def test_a_stack_is_named_after_project_and_stage(tmp_path: Path) -> None:
    assert stack_name(project(tmp_path, SETTINGS), "prod") == "billing-prod"
    longest = "n" * (LONGEST_STACK - len("-dev"))
    assert stack_name(project(tmp_path, f"name = '{longest}'"), "dev") == f"{longest}-dev"


@pytest.mark.parametrize("name", ["Billing", "1st", "n" * (LONGEST_STACK - 3), "a_b"])
def test_what_cannot_be_a_stacks_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(NoProject, match="cannot be the name of a stack") as refused:
        stack_name(project(tmp_path, f"name = '{name}'"), "dev")
    assert "shiftwork.toml" in refused.value.next_step


def test_without_a_name_the_folders_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "invoices"
    folder.mkdir()
    assert stack_name(project(folder, ""), "dev") == "invoices-dev"
