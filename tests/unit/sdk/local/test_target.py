"""Where an environment of samconfig.toml is deployed to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shiftwork.local import LocalStackError
from shiftwork.local.target import Target


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give the machine two profiles, and no variables."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "aws").write_text("[default]\n[profile work]\nregion = eu-north-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


def target(project: Path, config: str) -> Target:
    (project / "samconfig.toml").write_text(config)
    return Target.read(project, "dev")


NAMED = '[dev.deploy.parameters]\nstack_name = "a"\n'


@pytest.mark.parametrize(
    ("config", "variables", "expected"),
    [
        (NAMED, {"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        (NAMED, {"AWS_DEFAULT_REGION": "eu-west-2", "AWS_REGION": "eu-west-1"}, "eu-west-1"),
        (NAMED, {"AWS_PROFILE": "work"}, "eu-north-1"),
        (NAMED + 'profile = "work"', {}, "eu-north-1"),
        (NAMED + 'region = "eu-west-3"', {"AWS_REGION": "eu-west-1"}, "eu-west-3"),
        (
            NAMED + '[dev.global.parameters]\nregion = "eu-west-3"',
            {"AWS_REGION": "eu-west-1", "AWS_PROFILE": "work"},
            "eu-west-3",
        ),
    ],
)
def test_the_region_that_is_asked_is_the_one_that_sam_deploys_to(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    variables: dict[str, str],
    expected: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert target(tmp_path, config).session().region_name == expected


@pytest.mark.parametrize("empty", [False, True], ids=["none", "empty"])
def test_without_any_region_the_error_says_where_to_write_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: bool
) -> None:
    if empty:
        monkeypatch.setenv("AWS_REGION", "")
    with pytest.raises(LocalStackError, match="which region") as raised:
        target(tmp_path, NAMED).session()
    assert "samconfig.toml" in raised.value.next_step


def test_a_region_that_is_none_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="eu west 1") as raised:
        target(tmp_path, NAMED + 'region = "eu west 1"').session()
    assert "region" in raised.value.next_step


def test_a_profile_that_does_not_exist_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match=r"profile \(home\)"):
        target(tmp_path, NAMED + 'profile = "home"').session()


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[dev.deploy.parameters]\n",
        NAMED.replace("dev", "prod"),
        NAMED.replace('"a"', '""'),
        "dev = 0.1",
        '[dev]\ndeploy = "a"',
        '[dev.deploy]\nparameters = "a"',
    ],
)
def test_an_environment_without_a_stack_is_an_error_with_a_next_step(
    tmp_path: Path, config: str
) -> None:
    with pytest.raises(LocalStackError, match="no environment 'dev'") as raised:
        target(tmp_path, config)
    assert "copy" in raised.value.next_step


@pytest.mark.parametrize("config", [None, b"[dev", b'stack = "\xe9"'])
def test_a_file_that_cannot_be_read_is_an_error_with_a_next_step(
    tmp_path: Path, config: bytes | None
) -> None:
    if config is not None:
        (tmp_path / "samconfig.toml").write_bytes(config)
    with pytest.raises(LocalStackError, match=r"samconfig\.toml cannot be read"):
        Target.read(tmp_path, "dev")


def test_the_stacks_name_is_the_one_of_samconfig(tmp_path: Path) -> None:
    assert target(tmp_path, NAMED.replace('"a"', '"shiftwork-lab"')).stack_name == "shiftwork-lab"
