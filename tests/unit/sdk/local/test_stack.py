"""Finding a stack, its parameters, and a stack for one command."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from shiftwork.api.config import Config
from shiftwork.api.env_file import write_env_file
from shiftwork.api.errors import NotConfigured
from shiftwork.local import LocalStackError, Stack
from shiftwork.local.deployment import Deployment, lost_between
from shiftwork.local.emulator import free_port
from shiftwork.local.files import digest
from shiftwork.local.sources import find_checkout

COMMAND = [sys.executable, "-c"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "functions" / "one").mkdir(parents=True)
    (root / "functions" / "one" / "app.py").write_text("one = 1\n")
    (root / "template.yaml").touch()
    return root


def test_project_is_found_from_any_folder_inside(project: Path) -> None:
    assert find_checkout(project / "functions" / "one") == project
    assert Stack.find(project / "functions", {}).home == project / ".shiftwork"


def test_outside_a_project_the_error_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="is in no project") as raised:
        Stack.find(tmp_path, {})
    assert "shiftwork.toml" in raised.value.next_step


def test_another_home_is_another_stack(project: Path, tmp_path: Path) -> None:
    stack = Stack.find(project, {"SHIFTWORK_HOME": str(tmp_path / "second")})
    assert stack.home == tmp_path / "second"


def test_the_digest_follows_the_sources_and_ignores_files_of_tools(project: Path) -> None:
    before = digest(project, ["functions"])
    litter = project / "functions" / "one" / "__pycache__"
    litter.mkdir()
    (litter / "app.cpython-311.pyc").write_bytes(b"x")
    assert digest(project, ["functions"]) == before
    (project / "functions" / "one" / "app.py").write_text("one = 2\n")
    assert digest(project, ["functions"]) != before


def test_settings_become_parameters(tmp_path: Path) -> None:
    settings = {
        "SHIFTWORK_SERVICES": '{"crm": "http://127.0.0.1:9000"}',
        "SHIFTWORK_LEASE_S": "5",
        "SHIFTWORK_WORKER_OFFLINE_S": "9",
    }
    deployment = Deployment(tmp_path, tmp_path, tmp_path, "http://127.0.0.1:1", settings)
    parameters = deployment.parameters()
    # What a local stack calls is near it.
    assert parameters["Services"] == '{"crm":{"url":"http://127.0.0.1:9000","private":true}}'
    assert parameters["LeaseSeconds"] == "5"
    assert parameters["WorkerOfflineSeconds"] == "9"
    assert parameters["PythonRuntime"] == "python{}.{}".format(*sys.version_info)


def test_services_keep_their_quotes_and_backslashes(tmp_path: Path) -> None:
    services = {"crm": {"url": 'a "b" \\" c\\', "private": False}}
    settings = {"SHIFTWORK_SERVICES": json.dumps(services)}
    deployment = Deployment(tmp_path, tmp_path, tmp_path, "http://127.0.0.1:1", settings)
    text = deployment.parameters()["Services"]
    assert json.loads(text) == services
    assert '\\"' not in text


@pytest.mark.parametrize(
    "services",
    ["crm", "[]", '{"crm": ', '{"crm": 1}', '{"crm": {}}', '{"crm": {"url": 1}}',
     '{"crm": {"url": "http://a", "private": "yes"}}', '{"crm": {"url": "a", "privat": true}}'],
)  # fmt: skip
def test_services_that_are_not_declared_in_the_right_form_are_refused(
    tmp_path: Path, services: str
) -> None:
    settings = {"SHIFTWORK_SERVICES": services}
    deployment = Deployment(tmp_path, tmp_path, tmp_path, "http://127.0.0.1:1", settings)
    with pytest.raises(LocalStackError, match="SHIFTWORK_SERVICES") as raised:
        deployment.parameters()
    assert raised.value.next_step.endswith("make up")


def test_endpoint_that_does_not_answer_is_named(project: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(LocalStackError, match=endpoint) as raised:
        Stack.find(project, {"SHIFTWORK_ENDPOINT": endpoint}).up()
    assert "SHIFTWORK_ENDPOINT" in raised.value.next_step


def test_the_status_of_a_missing_stack_is_that_nothing_runs(project: Path) -> None:
    status = Stack.find(project, {"SHIFTWORK_PORT": "4999"}).status()
    assert (status.is_running, status.is_deployed, status.pid) == (False, False, None)
    assert status.endpoint == "http://127.0.0.1:4999"


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_an_invalid_port_is_refused(project: Path, port: str) -> None:
    with pytest.raises(LocalStackError, match="SHIFTWORK_PORT"):
        Stack.find(project, {"SHIFTWORK_PORT": port}).status()


def test_down_without_a_stack_does_nothing(project: Path) -> None:
    assert not Stack.find(project, {}).down()


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Stack]]:
    """Return a list that records starts and stops of stacks, which do nothing."""
    found: list[tuple[str, Stack]] = []

    def up(stack: Stack, report: object) -> dict[str, str]:
        found.append(("up", stack))
        return {"SHIFTWORK_URL": "http://127.0.0.1:1/api"}

    def down(stack: Stack) -> bool:
        found.append(("down", stack))
        return True

    monkeypatch.setattr(Stack, "up", up)
    monkeypatch.setattr(Stack, "down", down)
    return found


def test_command_gets_a_stack_of_its_own(
    project: Path, notes: list[tuple[str, Stack]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"SHIFTWORK_PORT": "4566", "SHIFTWORK_ENDPOINT": "http://127.0.0.1:4566"}
    stack = Stack.find(project, settings)
    check = (
        "import os, sys; sys.exit(7 if os.environ['SHIFTWORK_URL'] == 'http://127.0.0.1:1/api' "
        "and os.environ['SHIFTWORK_HOME'] != os.environ['USUAL'] else 1)"
    )
    monkeypatch.setenv("USUAL", str(stack.home))
    assert stack.run_with_ephemeral([*COMMAND, check]) == 7
    [(first, started), (second, ended)] = notes
    assert (first, second) == ("up", "down")
    assert started == ended
    assert started.home != stack.home
    assert "SHIFTWORK_ENDPOINT" not in started.settings
    assert started.settings["SHIFTWORK_PORT"] != "4566"
    assert not started.home.exists()


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_the_stack_is_stopped_when_a_signal_ends_this_process(
    project: Path, notes: list[tuple[str, Stack]], name: str, code: int
) -> None:
    """The command sends the signal to its parent, this process, and would then sleep on."""
    tell = (
        f"import os, signal, time; signal.signal(signal.{name}, signal.SIG_DFL); "
        f"os.kill({os.getpid()}, signal.{name}); "
        # Ctrl-C reaches every process of the terminal, so the command gets it too.
        f"{'os.kill(os.getpid(), signal.SIGINT); ' if name == 'SIGINT' else ''}time.sleep(600)"
    )
    assert Stack.find(project, {}).run_with_ephemeral([*COMMAND, tell]) == code
    assert [what for what, _ in notes] == ["up", "down"]


def test_the_stack_is_stopped_when_the_command_does_not_exist(
    project: Path, notes: list[tuple[str, Stack]]
) -> None:
    with pytest.raises(LocalStackError, match="no-such-command"):
        Stack.find(project, {}).run_with_ephemeral(["no-such-command"])
    assert [what for what, _ in notes] == ["up", "down"]


def test_command_ended_by_a_signal_is_reported_as_a_shell_would(
    project: Path, notes: list[tuple[str, Stack]]
) -> None:
    end = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert Stack.find(project, {}).run_with_ephemeral([*COMMAND, end]) == 137


# -- known to its user, and lost -----------------------------------------------------------------


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deploy nothing, and write what a deployment writes."""

    def ensure(self: Deployment, known: object, report: object) -> dict[str, str]:
        env = {"SHIFTWORK_URL": "http://local", "AWS_ENDPOINT_URL": self.endpoint}
        write_env_file(self.home / "local.env", env)
        return env

    monkeypatch.setattr(Deployment, "ensure", ensure)
    monkeypatch.setattr(Stack, "_ensure_emulator", lambda *_: "http://127.0.0.1:1")


@pytest.mark.usefixtures("deployed")
def test_a_stack_that_is_up_is_found_from_anywhere_until_it_is_down(
    project: Path, tmp_path: Path
) -> None:
    env = {"HOME": str(tmp_path / "user")}
    stack = Stack.find(project, env)
    stack.up()
    assert Config.load(env=env, start=Path("/")).home == project / ".shiftwork"
    stack.down()
    with pytest.raises(NotConfigured):
        Config.load(env=env, start=Path("/"))


@pytest.mark.usefixtures("deployed")
def test_a_stack_in_a_folder_that_is_named_leaves_no_record(project: Path, tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path / "user")}
    Stack.find(project, env | {"SHIFTWORK_HOME": str(tmp_path / "second")}).up()
    with pytest.raises(NotConfigured):
        Config.load(env=env, start=Path("/"))


def test_an_emulator_without_its_stack_is_noticed_by_the_stacks_id() -> None:
    first, second = {"SHIFTWORK_STACK_ID": "arn:1"}, {"SHIFTWORK_STACK_ID": "arn:2"}
    assert lost_between({}, first) == {}
    assert lost_between(first, first) == {}
    lost = lost_between(first, second)
    assert list(lost) == ["SHIFTWORK_LOST_AT"]
    assert lost_between(second | lost, second) == lost
