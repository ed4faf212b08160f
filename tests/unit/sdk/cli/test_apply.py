"""Test `shiftwork apply`: what it reads, plans, asks and sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from shiftwork.api.errors import BadDefinitions
from shiftwork.cli.commands.apply_plan import differences
from shiftwork.cli.exit_codes import Exit
from shiftwork.definition_files import read
from tests.unit.sdk.fake_api import FakeApi, problem
from tests.unit.sdk.fake_workspaces import workspace

Run = Callable[..., Result]

GREET = """\
kind: request-type
name: greet
steps: [{name: one, jobs: [{name: greet, type: greet.one}]}]
---
kind: job-type
name: greet.one
target: python
retry: {max_attempts: 3}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "greet.yaml").write_text(GREET)
    (tmp_path / "notes.txt").write_text("not a definition")
    return tmp_path


def test_job_types_are_sent_before_the_request_types_that_name_them(
    run: Run, api: FakeApi, folder: Path
) -> None:
    result = run("apply", str(folder), "--yes")
    paths = [call.url.path for call in api.calls if call.method == "PUT"]
    assert paths == ["/stage/v1/job-types/greet.one", "/stage/v1/request-types/greet"]
    assert api.bodies("PUT")[0] == {"target": "python", "retry": {"max_attempts": 3}}
    assert "+ job-type greet.one  create" in result.stdout
    assert "2 to create, 0 to update, 0 unchanged" in result.stdout
    assert result.exit_code == Exit.OK


def test_a_second_apply_changes_nothing_and_asks_nothing(
    run: Run, api: FakeApi, folder: Path
) -> None:
    run("apply", str(folder), "--yes")
    api.calls.clear()
    result = run("apply", str(folder))
    assert "0 to create, 0 to update, 2 unchanged" in result.stdout
    assert api.bodies("PUT") == []
    assert result.exit_code == Exit.OK


def test_an_update_is_shown_field_by_field(run: Run, api: FakeApi, folder: Path) -> None:
    run("apply", str(folder), "--yes")
    changed = GREET.replace("max_attempts: 3", "max_attempts: 5, delay_s: 1")
    changed = changed.replace("target: python", "target: worker")
    (folder / "sub" / "greet.yaml").write_text(changed)
    result = run("apply", str(folder), "--yes")
    assert "~ job-type greet.one  update of version 1" in result.stdout
    assert "    retry.max_attempts: 3 -> 5\n" in result.stdout
    assert "    retry.delay_s: (none) -> 1\n" in result.stdout
    assert '    target: "python" -> "worker"\n' in result.stdout
    assert api.definitions["job-type", "greet.one"]["version"] == 2


def test_without_yes_and_a_terminal_nothing_is_sent(run: Run, api: FakeApi, folder: Path) -> None:
    result = run("apply", str(folder))
    assert result.exit_code == Exit.USAGE
    assert "--yes" in result.stderr
    assert api.definitions == {}


@pytest.mark.parametrize(("answer", "code"), [("y\n", Exit.OK), ("n\n", Exit.FAILED)])
def test_a_person_is_asked(
    answer: str,
    code: Exit,
    run: Run,
    api: FakeApi,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shiftwork.cli.asking.has_terminal", lambda: True)
    assert run("apply", str(folder), stdin=answer).exit_code == code
    assert bool(api.definitions) is (code == Exit.OK)


def test_a_refusal_names_all_faults_and_does_not_stop_the_others(
    run: Run, api: FakeApi, folder: Path
) -> None:
    api.refusals["greet.one"] = problem(422, "bad", **{"target": "unknown", "batch_size": "big"})
    result = run("apply", str(folder), "--yes")
    assert result.exit_code == Exit.REFUSED
    file = folder / "sub" / "greet.yaml"
    assert f"  target: unknown ({file}:7:1)\n  batch_size: big ({file}:5)\n" in result.stderr
    assert ("request-type", "greet") in api.definitions
    assert result.stderr.endswith("then do it again; the others are applied.\n")


def test_a_fault_that_can_be_seen_here_is_told_before_anything_is_planned(
    run: Run, api: FakeApi, folder: Path
) -> None:
    file = folder / "sub" / "greet.yaml"
    file.write_text(GREET.replace("retry:", "retyr:"))
    result = run("apply", str(folder), "--yes")
    assert result.exit_code == Exit.REFUSED
    assert f"{file}:8:1: retyr: is not a known field; did you mean retry?" in result.stderr
    assert (api.calls, result.stdout) == ([], "")


# -- workspaces ----------------------------------------------------------------------------------

WORKSPACE = """\
kind: workspace
name: dev
driver: {type: request, start: {type: greet}, stop: {type: greet}}
schedule:
  windows: [{start: CRON_TZ=Europe/Berlin 0 8 * * 1-5}]
  quiet_hours: [{start: 22:00, end: 06:00}]
"""


def test_a_workspace_is_sent_after_the_types_that_it_names(
    run: Run, api: FakeApi, folder: Path
) -> None:
    (folder / "a.yaml").write_text(WORKSPACE)
    result = run("apply", str(folder), "--yes")
    assert [call.url.path for call in api.calls if call.method == "PUT"] == [
        "/stage/v1/job-types/greet.one",
        "/stage/v1/request-types/greet",
        "/stage/v1/workspaces/dev",
    ]
    assert "+ workspace dev  new\n" in result.stdout
    assert "3 to create, 0 to update, 0 unchanged" in result.stdout
    assert api.workspaces.rows["dev"]["definition"]["driver"]["type"] == "request"


def test_a_workspace_that_is_as_it_was_is_not_sent(run: Run, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WORKSPACE)
    run("apply", str(tmp_path), "--yes")
    api.calls.clear()
    result = run("apply", str(tmp_path))
    assert "= workspace dev  unchanged" in result.stdout
    assert api.bodies("PUT") == []
    assert result.exit_code == Exit.OK


def test_a_changed_workspace_is_shown_field_by_field_without_a_version(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(WORKSPACE)
    run("apply", str(tmp_path), "--yes")
    (tmp_path / "a.yaml").write_text(WORKSPACE.replace("06:00", "07:00") + "verify_timeout_s: 60\n")
    result = run("apply", str(tmp_path), "--yes")
    assert "~ workspace dev  changed\n" in result.stdout
    assert '    schedule.quiet_hours[0].end: "06:00" -> "07:00"\n' in result.stdout
    assert "    verify_timeout_s: (none) -> 60\n" in result.stdout
    changes = json.loads(run("apply", str(tmp_path), "-o", "json").stdout)["changes"]
    assert [(c["kind"], c["action"], c["version"]) for c in changes] == [
        ("workspace", "unchanged", None)
    ]


def test_a_time_of_day_is_text_as_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WORKSPACE + "a: [22:00:30, 1320, 1_0, 0x10, 1.5, 12:30.5]\n")
    body = read(tmp_path)[0].body
    assert body["schedule"]["quiet_hours"] == [{"start": "22:00", "end": "06:00"}]
    assert body["a"] == ["22:00:30", 1320, 10, 16, 1.5, "12:30.5"]


def test_a_workspace_that_is_left_out_of_the_files_is_left_alone(
    run: Run, api: FakeApi, folder: Path
) -> None:
    api.workspaces.put(workspace("other"))
    run("apply", str(folder), "--yes")
    assert "other" in api.workspaces.rows
    assert "DELETE" not in {call.method for call in api.calls}


def test_a_workspace_that_is_refused_is_named_with_its_faults(
    run: Run, api: FakeApi, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(WORKSPACE)
    fault = {"schedule.windows[0].start": "has 4 fields where five are needed"}
    api.workspaces.refusals["dev"] = problem(422, "bad", **fault)
    result = run("apply", str(tmp_path), "--yes")
    assert result.exit_code == Exit.REFUSED
    assert "Refused: workspace dev" in result.stderr
    told = "schedule.windows[0].start: has 4 fields where five are needed"
    assert f"  {told} ({tmp_path / 'a.yaml'}:5:14)\n" in result.stderr
    assert result.stderr.endswith("then do it again; nothing was applied.\n")


# -- as JSON, and what cannot be read ------------------------------------------------------------


def test_the_changes_come_as_json_too(run: Run, folder: Path) -> None:
    result = run("apply", str(folder), "--yes", "-o", "json")
    changes = json.loads(result.stdout)["changes"]
    assert [(c["name"], c["action"], c["version"]) for c in changes] == [
        ("greet.one", "create", 1),
        ("greet", "create", 1),
    ]


def test_every_fault_of_every_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: job-type\n---\nkind: thing\nname: x\n---\n- a list\n")
    (tmp_path / "b.yml").write_text("a: [\n")
    (tmp_path / "c.yaml").write_text("# nothing but this\n---\n" + GREET + "---\n" + GREET)
    (tmp_path / "d.yaml").write_text("kind: job-type\nname: dated\nsince: 2026-01-01\n")
    (tmp_path / "e.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(BadDefinitions) as caught:
        read(tmp_path)
    faults = [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]
    assert [fault.split(": ")[0] for fault in faults] == [
        "a.yaml:1",
        "a.yaml:3",
        "a.yaml:6",
        "b.yml:2",
        "c.yaml:12",
        "c.yaml:16",
        "d.yaml:1",
        "e.yaml",
    ]


def test_a_folder_without_definitions_is_refused(run: Run, api: FakeApi, tmp_path: Path) -> None:
    result = run("apply", str(tmp_path))
    assert "no definitions here" in result.stderr
    assert "Nothing was applied." in result.stderr
    assert result.stderr.endswith("Correct these definitions, then do it again\n")
    assert result.exit_code == Exit.REFUSED
    assert api.calls == []


def test_a_path_that_does_not_exist_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    assert run("apply", str(tmp_path / "none")).exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, ["a"]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3, 4]}}, ["a.b[1]", "a.b[2]"]),
        ({"a": 1}, {"b": 1}, ["a", "b"]),
        ({"a": [1]}, {"a": {"0": 1}}, ["a"]),
    ],
)
def test_differences_go_down_to_the_leaves(before: object, after: object, paths: list[str]) -> None:
    assert [change.path for change in differences(before, after)] == paths
