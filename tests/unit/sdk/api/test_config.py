"""Where the client finds the API's address and token."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftwork.api.config import Config
from shiftwork.api.errors import NotConfigured


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".shiftwork").mkdir()
    (tmp_path / ".shiftwork" / "local.env").write_text(
        "# the local stack\nSHIFTWORK_URL=http://local\nSHIFTWORK_TOKEN=a=b\n\nSHIFTWORK_BUCKET=b\n"
    )
    return tmp_path


def test_the_local_stack_is_found_from_a_folder_below(project: Path) -> None:
    below = project / "a" / "b"
    below.mkdir(parents=True)
    config = Config.load(env={"HOME": "/root"}, start=below)
    assert (config.url, config.token) == ("http://local", "a=b")
    assert config.env == {
        "HOME": "/root",
        "SHIFTWORK_URL": "http://local",
        "SHIFTWORK_TOKEN": "a=b",
        "SHIFTWORK_BUCKET": "b",
    }
    assert config.home == project / ".shiftwork"


def test_the_environment_takes_precedence_over_the_local_stack(project: Path) -> None:
    env = {"SHIFTWORK_URL": "http://env", "SHIFTWORK_TOKEN": "t"}
    config = Config.load(env=env, start=project)
    assert (config.url, config.token, config.home) == ("http://env", "t", None)


def test_arguments_take_precedence_over_the_environment(project: Path) -> None:
    env = {"SHIFTWORK_URL": "http://env", "SHIFTWORK_TOKEN": "t"}
    config = Config.load("http://argument", "mine", env=env, start=project)
    assert (config.url, config.token) == ("http://argument", "mine")


def test_the_local_token_is_never_sent_to_another_address(project: Path) -> None:
    assert Config.load("http://elsewhere", env={}, start=project).token is None


def test_the_state_folder_may_be_elsewhere(project: Path) -> None:
    env = {"SHIFTWORK_HOME": str(project / ".shiftwork")}
    assert Config.load(env=env, start=Path("/")).url == "http://local"


def test_without_a_url_the_error_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="No stack is running") as caught:
        Config.load(env={"SHIFTWORK_HOME": str(tmp_path)})
    assert "shiftwork up" in caught.value.next_step


def test_the_token_is_not_shown(project: Path) -> None:
    assert "a=b" not in repr(Config.load(env={}, start=project))
