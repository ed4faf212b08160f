"""Applying definitions: reading, planning, asking, sending."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from shiftwork.cli.applying import differences, read
from shiftwork.cli.exits import Exit
from shiftwork.errors import BadDefinitions
from tests.unit.sdk.fake_api import FakeApi, problem

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


def test_without_a_yes_and_nobody_to_ask_nothing_is_sent(
    run: Run, api: FakeApi, folder: Path
) -> None:
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
    monkeypatch.setattr("shiftwork.cli.app._is_somebody_there", lambda: True)
    assert run("apply", str(folder), stdin=answer).exit_code == code
    assert bool(api.definitions) is (code == Exit.OK)


def test_a_refusal_names_all_faults_and_does_not_stop_the_others(
    run: Run, api: FakeApi, folder: Path
) -> None:
    api.refusals["greet.one"] = problem(422, "bad", **{"target": "unknown", "batch_size": "big"})
    result = run("apply", str(folder), "--yes")
    assert result.exit_code == Exit.REFUSED
    assert "  target: unknown\n  batch_size: big\n" in result.stderr
    assert f"{folder / 'sub' / 'greet.yaml'}:5" in result.stderr
    assert ("request-type", "greet") in api.definitions


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
