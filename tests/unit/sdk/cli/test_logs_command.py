"""`shiftwork logs`: what the jobs of a request print and log, in order of time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from shiftwork.api.shapes import JobLine
from tests.unit.sdk.fake_api import FakeApi, attempt, request, step

Run = Callable[..., Result]


def line(second: int, text: str, job: int = 0, **fields: Any) -> JobLine:
    said = json.dumps({"message": text, "level": "INFO"} | fields)
    return JobLine(
        timestamp=f"2026-01-01T00:00:{second:02}Z",
        message=said,
        id=f"id-{text}",
        attempt_id=f"r-1.1.{job}.1",
        job=f"greet[{job}]",
    )


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    naps: list[float] = []
    monkeypatch.setattr("time.sleep", naps.append)
    return naps


def life(*statuses: str, jobs: int = 2) -> list[Any]:
    return [request("r-1", status, steps=[step(1, "greet", completed=jobs)]) for status in statuses]


def test_lines_of_several_jobs_are_in_order_of_time_and_name_their_job(
    run: Run, api: FakeApi
) -> None:
    api.lives["r-1"] = life("Completed")
    api.followed = [[line(2, "later", 1), line(1, "sooner", 0, stream="stdout")]]
    result = run("logs", "last")
    assert result.stdout.splitlines() == [
        "2026-01-01T00:00:01Z  greet[0]  sooner",
        "2026-01-01T00:00:02Z  greet[1]  INFO  later",
    ]
    assert result.exit_code == 0


def test_lines_of_the_only_job_do_not_name_it(run: Run, api: FakeApi) -> None:
    api.lives["r-1"] = life("Completed", jobs=1)
    api.followed = [[line(1, "hello")]]
    assert run("logs", "last").stdout == "2026-01-01T00:00:01Z  INFO  hello\n"


@pytest.mark.parametrize(("status", "code"), [("Completed", 0), ("Failed", 1), ("Cancelled", 1)])
def test_following_shows_each_line_once_and_ends_with_the_request(
    run: Run, api: FakeApi, status: str, code: int
) -> None:
    api.lives["r-1"] = life("Inprogress", "Inprogress", status)
    first, second = line(1, "one"), line(2, "two")
    api.followed = [[first], [first, second], [second], [second, line(3, "comes late")]]
    result = run("logs", "last", "--follow")
    assert [row.rpartition("  ")[2] for row in result.stdout.splitlines()] == [
        "one",
        "two",
        "comes late",
    ]
    assert result.exit_code == code


def test_a_job_s_name_stands_for_all_its_attempts_and_an_id_for_one(run: Run, api: FakeApi) -> None:
    api.lives["r-1"] = life("Completed")
    api.attempts = [attempt(0, "retry"), attempt(0, "completed", tries=2), attempt(1, "completed")]
    again = line(3, "again")
    again["attempt_id"] = "r-1.1.0.2"
    api.followed = [[line(1, "mine"), line(2, "other", 1), again]] * 2
    texts = {
        reference: [row.rpartition("  ")[2] for row in run("logs", reference).stdout.splitlines()]
        for reference in ("r-1/greet[0]", "r-1.1.0.1")
    }
    assert texts == {"r-1/greet[0]": ["mine", "again"], "r-1.1.0.1": ["mine"]}


def test_lines_that_workers_have_sent_are_read_by_attempt(run: Run, api: FakeApi) -> None:
    api.lives["r-1"] = life("Completed", jobs=3)
    api.definitions["job-type", "gpu.render"] = {"name": "gpu.render", "target": "worker"}
    api.definitions["job-type", "greet.one"] = {"name": "greet.one", "target": "python"}
    api.attempts = [attempt(0, "completed"), attempt(2, "completed", type="gpu.render")]
    api.logs = [{"timestamp": f"2026-01-01T00:00:0{n}Z", "message": f"frame {n}"} for n in (1, 3)]
    api.followed = [[line(2, "between")]]
    assert run("logs", "last").stdout.splitlines() == [
        "2026-01-01T00:00:01Z  greet[2]  frame 1",
        "2026-01-01T00:00:02Z  greet[0]  INFO  between",
        "2026-01-01T00:00:03Z  greet[2]  frame 3",
    ]


def test_lines_of_workers_are_followed_until_their_attempt_has_ended(
    run: Run, api: FakeApi
) -> None:
    api.lives["r-1"] = [
        request("r-1", "Inprogress", steps=[step(1, "greet", "running", inprogress=1)]),
        *life("Completed", jobs=1),
    ]
    api.definitions["job-type", "gpu.render"] = {"name": "gpu.render", "target": "worker"}
    api.attempts = [attempt(0, "completed", type="gpu.render")]
    api.logs = [{"timestamp": "2026-01-01T00:00:01Z", "message": "frame"}]
    result = run("logs", "last", "--follow")
    assert result.stdout.splitlines() == ["2026-01-01T00:00:01Z  frame"]
    reads = [call for call in api.calls if call.url.path.endswith("r-1.1.0.1/logs")]
    assert len(reads) == 1


def test_json_is_a_list_and_when_followed_a_line_each(run: Run, api: FakeApi) -> None:
    api.lives["r-1"] = life("Completed")
    api.followed = [[line(1, "one")]]
    [found] = json.loads(run("logs", "last", "-o", "json").stdout)["items"]
    assert (found["job"], found["attempt_id"]) == ("greet[0]", "r-1.1.0.1")
    api.followed = [[line(1, "one"), line(2, "two")]]
    followed = run("logs", "last", "-f", "-o", "json").stdout.splitlines()
    assert [json.loads(row)["timestamp"][-3:] for row in followed] == ["01Z", "02Z"]


def test_a_request_that_has_logged_nothing_says_so(run: Run, api: FakeApi) -> None:
    api.lives["r-1"] = life("Inprogress")
    result = run("logs", "last")
    assert "Nothing has been logged yet" in result.stderr
    assert "shiftwork logs last --follow" in result.stderr


def test_ctrl_c_ends_only_the_following(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    api.lives["r-1"] = life("Inprogress")
    result = run("logs", "last", "--follow")
    assert (result.exit_code, "The request goes on." in result.stderr) == (130, True)
