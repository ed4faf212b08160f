"""Where the client finds the API's address and token."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftwork.api.config import Config, forget_home, record_home
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


# -- from anywhere -------------------------------------------------------------------------------


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose home is empty."""
    (tmp_path / "user").mkdir()
    return {"HOME": str(tmp_path / "user")}


def record_of(user: dict[str, str]) -> Path:
    return Path(user["HOME"]) / ".local" / "state" / "shiftwork" / "stack"


def test_a_stack_that_was_put_up_is_found_from_anywhere(
    project: Path, user: dict[str, str]
) -> None:
    record_home(project / ".shiftwork", user)
    config = Config.load(env=user, start=Path("/"))
    assert (config.url, config.token, config.is_recorded) == ("http://local", "a=b", True)
    assert not Config.load(env=user, start=project).is_recorded


def test_the_record_is_the_users_alone_and_has_no_token(
    project: Path, user: dict[str, str]
) -> None:
    record_home(project / ".shiftwork", user)
    record = record_of(user)
    assert record.read_text() == f"{project / '.shiftwork'}\n"
    assert (record.stat().st_mode & 0o777, record.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_state_folder_of_the_xdg_specification_is_used(
    project: Path, tmp_path: Path, user: dict[str, str]
) -> None:
    env = user | {"XDG_STATE_HOME": str(tmp_path / "state")}
    record_home(project / ".shiftwork", env)
    assert (tmp_path / "state" / "shiftwork" / "stack").exists()
    assert Config.load(env=env, start=Path("/")).url == "http://local"
    with pytest.raises(NotConfigured):
        Config.load(env=user | {"XDG_STATE_HOME": "relative"}, start=Path("/"))


def test_a_record_that_leads_nowhere_is_removed(project: Path, user: dict[str, str]) -> None:
    record_home(project / ".shiftwork", user)
    (project / ".shiftwork" / "local.env").unlink()
    with pytest.raises(NotConfigured):
        Config.load(env=user, start=Path("/"))
    assert not record_of(user).exists()


def test_a_named_state_folder_is_not_replaced_by_the_record(
    project: Path, tmp_path: Path, user: dict[str, str]
) -> None:
    record_home(project / ".shiftwork", user)
    with pytest.raises(NotConfigured):
        Config.load(env=user | {"SHIFTWORK_HOME": str(tmp_path)}, start=Path("/"))
    assert record_of(user).exists()


def test_only_the_record_of_the_same_stack_is_forgotten(
    project: Path, tmp_path: Path, user: dict[str, str]
) -> None:
    record_home(project / ".shiftwork", user)
    forget_home(tmp_path, user)
    assert record_of(user).exists()
    forget_home(project / ".shiftwork", user)
    assert not record_of(user).exists()


def test_a_state_folder_that_cannot_be_written_to_is_no_error(project: Path) -> None:
    record_home(project / ".shiftwork", {"XDG_STATE_HOME": "/dev/null"})
    record_home(project / ".shiftwork", {})


def test_a_project_whose_stack_does_not_run_is_not_given_that_of_another(
    project: Path, user: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    record_home(project / ".shiftwork", user)
    other = tmp_path_factory.mktemp("other") / "callbacks"
    other.mkdir()
    assert Config.load(env=user, start=other).is_recorded
    (other.parent / "shiftwork.toml").touch()
    with pytest.raises(NotConfigured):
        Config.load(env=user, start=other)
