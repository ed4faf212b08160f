"""Test the command line against the deployed stack, each command in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.lab import Lab, job, unique

ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `shiftwork` in the project, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "shiftwork", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def answer_of(*arguments: str | Path) -> Any:
    """Run a command that must succeed, and return its JSON answer."""
    done = run(*arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write_type(folder: Path, name: str, *jobs: dict[str, Any]) -> Path:
    body = {"kind": "request-type", "name": name, "steps": [{"name": "s", "jobs": list(jobs)}]}
    file = folder / "types.yaml"
    file.write_text(yaml.safe_dump(body))
    return file


def test_definitions_are_applied_submitted_and_followed_to_their_end(tmp_path: Path) -> None:
    name = unique("cli")
    write_type(tmp_path, name, job("a", "flaky", failures=1), job("b", "note"))
    refused = run("apply", tmp_path)
    assert refused.returncode == 2
    assert f"+ request-type {name}" in refused.stdout and "--yes" in refused.stderr

    applied = run("apply", tmp_path, "--yes")
    assert (applied.returncode, applied.stderr) == (0, "")
    assert "1 to create" in applied.stdout
    again = answer_of("apply", tmp_path, "--yes")
    assert [(c["name"], c["action"]) for c in again["changes"]] == [(name, "unchanged")]

    followed = run("submit", name, "user=ada", "count:=3", "--follow")
    assert followed.returncode == 0, followed.stderr
    assert "job a: attempt 1 retry (Retry: down at attempt 1)" in followed.stdout
    assert "Completed" in followed.stdout
    assert "\x1b" not in followed.stdout

    request_id = followed.stdout.split("request ", 1)[1].split()[0]
    shown = answer_of("show", request_id)
    assert (shown["status"], shown["params"]) == ("Completed", {"user": "ada", "count": 3})
    assert shown["extras"]["a"] == 2
    jobs = answer_of("jobs", request_id)["items"]
    assert [f"{a['job']} {a['status']}" for a in jobs] == ["a retry", "a completed", "b completed"]
    assert len(answer_of("jobs", request_id, "--status", "retry")["items"]) == 1
    listed = answer_of("requests", "--type", name)["items"]
    assert [r["request_id"] for r in listed] == [request_id]
    assert request_id in run("show", request_id).stdout
    assert answer_of("show", request_id[:13])["request_id"] == request_id
    newest = answer_of("job", "show", f"{request_id}/a")
    assert newest["attempt_id"] == jobs[1]["attempt_id"]
    assert answer_of("explain", request_id)["status"] == "Completed"
    logs = run("job", "logs", jobs[0]["attempt_id"])
    assert logs.returncode == 0 and "asks for a retry" in logs.stdout


def test_a_failed_request_is_explained_and_can_be_retried(lab: Lab, tmp_path: Path) -> None:
    gate, name = unique("gate"), unique("cli")
    answer_of("apply", write_type(tmp_path, name, job("a", "mendable", gate=gate)), "--yes")
    failed = run("submit", name, "--follow")
    assert failed.returncode == 1
    assert "Failure: not fixed yet" in failed.stdout
    assert "shiftwork explain" in failed.stderr
    request_id = answer_of("requests", "--type", name)["items"][0]["request_id"]
    explained = run("explain", request_id)
    assert "not fixed yet" in explained.stdout and "shiftwork retry" in explained.stderr
    lab.open(gate)
    assert run("retry", request_id, "--follow").returncode == 0


def test_a_running_request_is_cancelled(lab: Lab) -> None:
    request_id = lab.submit([job("a", "wait", gate=unique("never"))])
    lab.running(request_id)
    cancelled = run("cancel", request_id)
    assert (cancelled.returncode, cancelled.stdout) == (0, f"{request_id} is Cancelled.\n")
    watched = run("watch", request_id)
    assert watched.returncode == 1 and "Cancelled" in watched.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "code"),
    [
        (["show", "no-such-request"], {}, 3),
        (["show", "no-such-request", "-o", "json"], {}, 3),
        (["submit", "no-such-type"], {}, 4),
        (["submit", "x", "--params", "not JSON"], {}, 2),
        (["apply", "no-such-folder"], {}, 2),
        (["requests"], {"SHIFTWORK_TOKEN": "wrong"}, 6),
        (["requests"], {"SHIFTWORK_URL": "http://127.0.0.1:9"}, 5),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_says_what_to_do(
    arguments: list[str], environment: dict[str, str], code: int
) -> None:
    done = run(*arguments, **environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) >= 2


def test_status_says_that_the_stack_answers() -> None:
    status = answer_of("status")
    assert status["is_answering"] and status["url"] == os.environ["SHIFTWORK_URL"]


def test_the_demo_indexes_a_folder_and_shows_its_report(tmp_path: Path) -> None:
    for n in range(6):
        text = f"# Chapter {n}\n\nAbout apples and pears. See [next](c{(n + 1) % 6}.md).\n"
        (tmp_path / f"c{n}.md").write_text(text + "orchard " * n)
        (tmp_path / f"m{n}.py").write_text(f'"""Module {n}."""\n\nimport m{(n + 1) % 6}\n')
    done = run("demo", "--folder", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Uploaded 12 documents" in done.stderr
    assert "12 documents, " in done.stdout and "12 links between files" in done.stdout
    assert "orchard" in done.stdout and "Try next:" in done.stdout
    answer = answer_of("demo", "--folder", tmp_path)
    assert answer["report"]["summary"]["documents"] == 12
    assert answer["report"]["files"]["c0.md"]["linked_from"] == ["c5.md"]
