"""Test `shiftwork demo`: what it uploads, submits and shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from shiftwork.cli.demos.documents import counted, find_documents
from shiftwork.cli.exit_codes import Exit
from tests.unit.sdk.fake_api import FakeApi, attempt, request, step

Run = Callable[..., Result]

REPORT = {
    "summary": {"documents": 2, "words": 1234, "distinct_words": 99, "links": 1},
    "files": {
        "a.md": {"words": 10, "telling": [["x", 1.0]], "links_to": ["b.py"], "linked_from": []},
        "b.py": {"words": 4, "telling": [["y", 1.0]], "links_to": [], "linked_from": ["a.md"]},
    },
}


def complete(bucket: Any, body: dict[str, Any], life: list[Any]) -> None:
    """Write the report and complete the request, as the engine would."""
    prefix = body["params"]["prefix"]
    bucket.put_object(Key=f"{prefix}report.json", Body=json.dumps(REPORT))
    bucket.put_object(Key=f"{prefix}report.md", Body="# Report\n")
    place = {"bucket": bucket.name, "key": f"{prefix}report.json"}
    report = place | {"markdown_key": f"{prefix}report.md", "summary": REPORT["summary"]}
    steps = [step(1, "analyse", "completed", completed=2, retry=3)]
    life[:] = [request("r-1", "Completed", extras={"report": report}, steps=steps)]


def test_the_demo_applies_uploads_submits_and_shows_the_report(
    run: Run, api: FakeApi, bucket: Any, project: Path
) -> None:
    api.lives["r-1"] = [request("r-1")]
    api.on_submit = lambda body: complete(bucket, body, api.lives["r-1"])
    errors = ["Retry", "Retry", "Retry", "Timeout", "LeaseExpired", "ClientError"]
    api.attempts = [
        attempt(n, "retry", error={"type": error, "message": "m"}) for n, error in enumerate(errors)
    ]
    result = run("demo")
    assert result.exit_code == Exit.OK, result.stderr
    assert ("job-type", "documents.list") in api.definitions
    body = api.bodies("POST")[0]
    assert body["type"] == "index-documents"
    prefix = body["params"]["prefix"]
    keys = sorted(o.key for o in bucket.objects.filter(Prefix=f"{prefix}files/"))
    assert keys == [f"{prefix}files/a.md", f"{prefix}files/b.py"]
    assert "2 documents, 1,234 words" in result.stdout
    assert "3 times a job lost the race" in result.stdout
    assert "2 times a job took too long, or its process was held up" in result.stdout
    assert "Once a job was tried again after the error ClientError." in result.stdout
    assert f"s3://documents-bucket/{prefix}report.md" in result.stdout
    assert "shiftwork show last" in result.stdout
    rows = [
        line.split() for line in result.stdout.splitlines() if line.startswith(("a.md", "b.py"))
    ]
    assert rows == [["b.py", "4", "y", "0", "1"], ["a.md", "10", "x", "1", "0"]]


def test_the_report_comes_as_json_too(run: Run, api: FakeApi, bucket: Any, project: Path) -> None:
    api.lives["r-1"] = [request("r-1")]
    api.on_submit = lambda body: complete(bucket, body, api.lives["r-1"])
    answer = json.loads(run("demo", "-o", "json").stdout)
    assert answer["report"] == REPORT
    assert answer["request"]["status"] == "Completed"


def test_a_request_that_fails_fails_the_demo(
    run: Run, api: FakeApi, bucket: Any, project: Path
) -> None:
    api.lives["r-1"] = [request("r-1", "Failed")]
    result = run("demo", "--folder", str(project))
    assert result.exit_code == Exit.FAILED
    assert "shiftwork explain r-1" in result.stderr


def test_without_a_bucket_nothing_is_done(
    run: Run, api: FakeApi, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHIFTWORK_BUCKET", raising=False)
    assert run("demo").exit_code == Exit.UNREACHABLE
    assert api.calls == []


def test_a_folder_without_documents_is_named(
    run: Run, bucket: Any, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    result = run("demo", "--folder", str(tmp_path_factory.mktemp("empty")))
    assert result.exit_code == Exit.FAILED
    assert "has no Markdown or Python files" in result.stderr


def test_folders_of_others_and_large_files_are_left_out(tmp_path: Path) -> None:
    for name in ("b.py", "a.md", "c.txt", "docs/d.md", ".git/e.md", "node_modules/f.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "env" / "g.py").touch()
    (tmp_path / "large.py").write_text("x" * (1024 * 1024 + 1))
    found = find_documents(tmp_path)
    assert [str(f.relative_to(tmp_path)) for f in found.files] == ["a.md", "b.py", "docs/d.md"]
    assert found.skipped == 1
    assert counted(found) == "3 of 4 documents (too large: 1)"


def test_the_number_of_documents_is_bounded(tmp_path: Path) -> None:
    for number in range(310):
        (tmp_path / f"{number}.md").touch()
    found = find_documents(tmp_path)
    assert (len(found.files), found.skipped) == (300, 10)
    assert counted(found) == "the first 300 of 310 documents"
