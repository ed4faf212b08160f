"""Every list can be written for people, for machines, and for pipes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.unit.sdk.conftest import Run
from tests.unit.sdk.fake_api import FakeApi, attempt, failure, request, worker
from tests.unit.sdk.fake_workspaces import job, workspace

LISTS = {
    "requests": ["r-1", "r-2", "r-3"],
    "jobs r-1": ["r-1.1.0.1", "r-1.1.1.1"],
    "failures r-1": ["r-1.1.0.1", "r-1.1.1.1"],
    "workers": ["a", "b", "c"],
    "workspaces": ["dev", "test"],
    "lifecycle-jobs": ["j-1", "j-2"],
    "types": ["greet", "greet.one"],
}


@pytest.fixture(autouse=True)
def world(api: FakeApi) -> None:
    api.lives = {name: [request(name)] for name in LISTS["requests"]}
    api.attempts = [attempt(number, "completed") for number in range(2)]
    api.failures = [failure(number) for number in range(2)]
    api.workers = [[worker(name) for name in LISTS["workers"]]]
    api.workspaces.put(*(workspace(name) for name in LISTS["workspaces"]))
    api.workspaces.lives = {name: [job(name)] for name in LISTS["lifecycle-jobs"]}
    for kind, name in (("job-type", "greet.one"), ("request-type", "greet")):
        api.definitions[kind, name] = {
            "kind": kind, "name": name, "version": 1, "description": "", "target": "python",
        }  # fmt: skip


@pytest.mark.parametrize("command", LISTS)
def test_names_are_ids_one_a_line(command: str, run: Run) -> None:
    result = run(*command.split(), "-o", "name")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == LISTS[command]


@pytest.mark.parametrize("command", LISTS)
def test_yaml_says_what_json_says(command: str, run: Run, api: FakeApi) -> None:
    looks = api.workers * 2
    api.workers = looks
    in_json = json.loads(run(*command.split(), "-o", "json").stdout)
    found: Any = yaml.safe_load(run(*command.split(), "-o", "yaml").stdout)
    assert found == in_json


@pytest.mark.parametrize("command", LISTS)
def test_wide_is_on_a_terminal_what_is_written_off_it(
    command: str, run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.workers = api.workers * 2
    plain = run(*command.split()).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert run(*command.split(), "-o", "wide").stdout == plain


def test_one_thing_is_named_by_its_id(run: Run) -> None:
    assert run("show", "r-1", "-o", "name").stdout == "r-1\n"


def test_an_answer_without_ids_says_so(run: Run, api: FakeApi) -> None:
    api.logs = [{"timestamp": "2026-01-01T00:00:00Z", "message": "hello"}]
    result = run("job", "logs", "r-1.1.0.1", "-o", "name")
    assert (result.stdout, result.exit_code) == ("", 0)
    assert "no ids" in result.stderr


def test_a_pipe_gets_no_colours_and_no_cuts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    result = run("requests")
    assert "\x1b" not in result.stdout
    assert "…" not in result.stdout


def test_no_color_turns_colours_off_on_a_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = run("requests").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    plain = run("requests").stdout
    assert "\x1b[2m" in coloured or "\x1b[3" in coloured
    assert "\x1b[3" not in plain


@pytest.mark.parametrize(("form", "begin"), [("json", '{"items": '), ("yaml", "---\nitems:\n")])
def test_what_is_watched_is_one_answer_after_another(form: str, begin: str, run: Run) -> None:
    assert run("workers", "--watch", "-o", form).stdout.startswith(begin)


def test_watched_names_are_ids(run: Run) -> None:
    assert run("workers", "--watch", "-o", "name").stdout.splitlines() == LISTS["workers"]
