"""`shiftwork failures`: a table under a summary, JSON, and CSV that a spreadsheet may open."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import httpx2
import pytest
from typer.testing import Result

from shiftwork.cli.commands import failures
from shiftwork.cli.exit_codes import Exit
from tests.unit.sdk.fake_api import FakeApi, failure, problem, request, step

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def requests(api: FakeApi) -> None:
    api.lives = {"r-1": [request("r-1", "Completed")]}


def test_each_failure_is_a_line_with_its_error_and_item(run: Run, api: FakeApi) -> None:
    api.failures = [failure(3, item='{"path":"a.md"}', tries=2)]
    header, line = run("failures", "r-1").stdout.splitlines()
    assert header.split("  ")[0] == "ATTEMPT ID"
    assert line.split() == [
        *("r-1.1.3.1", "greet[3]", "2", "2026-01-01", "00:00:02"),
        *("KeyError:", "no.", "3", "is", "bad", '{"path":"a.md"}'),
    ]


def test_a_summary_counts_the_types_of_errors_and_names_the_first_of_each(
    run: Run, api: FakeApi
) -> None:
    api.failures = [failure(n, "KeyError" if n % 3 else "Http404") for n in range(30)]
    shown = run("failures", "r-1", "--limit", "4").stdout.splitlines()
    assert [line.split() for line in shown[:3]] == [
        ["ERROR", "TYPE", "JOBS", "FIRST", "WHICH", "SAYS"],
        ["KeyError", "20", "greet[1]", "no.", "1", "is", "bad"],
        ["Http404", "10", "greet[0]", "no.", "0", "is", "bad"],
    ]
    assert [line.split()[0] for line in shown[4:]] == [
        "ATTEMPT",
        *(f"r-1.1.{n}.1" for n in range(4)),
    ]


def test_what_is_not_shown_is_counted_and_the_command_for_all_named(run: Run, api: FakeApi) -> None:
    api.failures = [failure(n) for n in range(30)]
    result = run("failures", "r-1")
    assert "There are 10 more: shiftwork failures r-1 --all (or --csv)" in result.stderr
    assert "r-1.1.19.1" in result.stdout and "r-1.1.20.1" not in result.stdout
    assert "r-1.1.29.1" in run("failures", "r-1", "--all").stdout


def test_of_very_many_only_the_first_are_summed(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "_MOST_SUMMED", 25)
    api.failures = [failure(n) for n in range(40)]
    told = run("failures", "r-1").stderr
    assert "This summary is of the first 25 failures; there are more." in told
    assert "There are at least 5 more" in told
    assert len(api.calls) == 1 + 13  # One finds the request; a page has two.
    assert "This summary" not in run("failures", "r-1", "--all").stderr


def test_many_types_of_errors_are_cut_to_the_most_frequent(run: Run, api: FakeApi) -> None:
    api.failures = [failure(n, f"Error{n}") for n in range(15)] + [failure(15, "Error14")]
    result = run("failures", "r-1")
    assert result.stdout.splitlines()[1].split()[:2] == ["Error14", "2"]
    assert "There are 5 more types of errors." in result.stderr


def test_of_one_step_only_those_are_listed(run: Run, api: FakeApi) -> None:
    api.failures = [failure(1), failure(2, index=2)]
    assert "r-1.2.2.1" in (shown := run("failures", "r-1", "--step", "2").stdout)
    assert "r-1.1.1.1" not in shown


def test_without_failures_it_says_so(run: Run) -> None:
    result = run("failures", "r-1")
    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert "None has failed for good." in result.stderr


def test_as_json_it_says_whether_there_are_more(run: Run, api: FakeApi) -> None:
    api.failures = [failure(n) for n in range(5)]
    some = json.loads(run("failures", "r-1", "--limit", "3", "-o", "json").stdout)
    assert (some["items"], some["has_more"]) == (api.failures[:3], True)
    every = json.loads(run("failures", "r-1", "--all", "-o", "json").stdout)
    assert (every["items"], every["has_more"]) == (api.failures, False)


def test_a_completed_request_with_failures_names_the_command(run: Run, api: FakeApi) -> None:
    steps = [step(1, "greet", "completed", completed=9, failure=1)]
    api.lives = {"r-1": [request("r-1", "Completed", steps=steps)]}
    assert "shiftwork failures r-1" in run("show", "r-1").stderr


@pytest.mark.parametrize("options", [("--csv", "-o", "json"), ("--all", "--limit", "3")])
def test_options_that_contradict_each_other_are_refused(run: Run, options: tuple[str, ...]) -> None:
    assert run("failures", "r-1", *options).exit_code == Exit.USAGE


# -- CSV -----------------------------------------------------------------------------------------


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_every_failure_and_its_item_in_one_column(run: Run, api: FakeApi) -> None:
    item = json.dumps({"path": 'a,"b"\n', "n": 1})
    api.failures = [failure(n, item=item) for n in range(30)]
    found = rows(run("failures", "r-1", "--csv").stdout)
    assert len(found) == 30
    assert found[7] == {
        "attempt_id": "r-1.1.7.1",
        "job": "greet[7]",
        "type": "greet.one",
        "step": "1",
        "attempt": "1",
        "tries": "1",
        "failed_at": "2026-01-01T00:00:02.000Z",
        "error_type": "KeyError",
        "error_message": "no. 7 is bad",
        "item": item,
    }
    assert len(rows(run("failures", "r-1", "--csv", "--limit", "3").stdout)) == 3


def test_csv_is_as_rfc_4180_says(run: Run, api: FakeApi) -> None:
    error = {"type": "KeyError", "message": 'two\nlines, "quoted"'}
    api.failures = [failure(1, error=error, item=None, failed_at=None)]
    text = run("failures", "r-1", "--csv").stdout_bytes.decode()
    assert text == (
        "attempt_id,job,type,step,attempt,tries,failed_at,error_type,error_message,item\r\n"
        'r-1.1.1.1,greet[1],greet.one,1,1,1,,KeyError,"two\nlines, ""quoted""",\r\n'
    )


def test_csv_without_failures_has_its_header(run: Run) -> None:
    assert run("failures", "r-1", "--csv").stdout.startswith("attempt_id,job,")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "\uff1d1", "=cmd|' /C calc'!A0"]
)
def test_no_text_of_a_job_is_a_formula_for_a_spreadsheet(run: Run, api: FakeApi, text: str) -> None:
    error = {"type": text, "message": text}
    api.failures = [failure(1, error=error, job=text, item=json.dumps(text))]
    [found] = rows(run("failures", "r-1", "--csv").stdout)
    assert {found["job"], found["error_type"], found["error_message"]} == {f"'{text}"}
    assert json.loads(found["item"]) == text


def test_csv_steers_no_terminal(run: Run, api: FakeApi) -> None:
    api.failures = [failure(1, error={"type": "E", "message": "\x1b]0;owned\x07\r=1"})]
    [found] = rows(run("failures", "r-1", "--csv").stdout)
    assert found["error_message"] == r"\x1b]0;owned\x07\x0d=1"
    api.failures = [failure(1, item=json.dumps("\x9b2J", ensure_ascii=False))]
    [found] = rows(run("failures", "r-1", "--csv").stdout)
    assert found["item"] == r'"\u009b2J"'
    assert json.loads(found["item"]) == "\x9b2J"


def test_csv_is_written_page_by_page(run: Run, api: FakeApi) -> None:
    first = {"items": [failure(0), failure(1)], "next_token": "2"}
    api.interruptions = [
        httpx2.Response(200, json={"items": api.lives["r-1"], "next_token": None}),
        httpx2.Response(200, json=first),
        problem(404, "gone meanwhile"),
    ]
    result = run("failures", "r-1", "--csv")
    assert result.exit_code == Exit.NOT_FOUND
    assert [found["job"] for found in rows(result.stdout)] == ["greet[0]", "greet[1]"]
