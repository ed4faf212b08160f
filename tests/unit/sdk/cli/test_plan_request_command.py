"""`shiftwork plan-request`, and the limits that `apply` tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from shiftwork.cli.exit_codes import Exit
from tests.unit.sdk.fake_api import FakeApi
from tests.unit.sdk.fake_plans import notice, request_plan

Run = Callable[..., Result]

WIDE = """\
kind: request-type
name: index
steps: [{name: analyse, jobs: [{name: document, type: analyse, for_each: params.documents}]}]
"""
LIMIT = notice(
    "beyond 10,000 items the step is refused: each job has a row",
    change="for more give it a block, so that jobs share rows",
)


def test_a_plan_shows_steps_sums_and_cost(run: Run, api: FakeApi) -> None:
    api.plans["index"] = request_plan("index")
    result = run("plan-request", "index", "--items", "12000")
    assert result.exit_code == Exit.OK
    for text in (
        "index, version 3: 12,000 jobs in some 1 m 23 s, for $0.0238, if none is retried.",
        "a distributed Map",
        "1,000 of 1,000 write units a second",
        "40 of 25,000",
        "$0.0238: dynamodb write units $0.0226, lambda time $0.0011, logs $0.000050",
    ):
        assert text in result.stdout
    assert result.stderr == ""


def test_what_stands_against_it_comes_below_with_what_to_change(run: Run, api: FakeApi) -> None:
    api.plans["index"] = request_plan(
        "index", notices=[notice(), notice(level="warning", job=None)]
    )
    result = run("plan-request", "index")
    assert result.stderr.splitlines() == [
        "Refused: step analyse, document: the step would have too many rows.",
        "  Give 'document' block: 10.",
        "Warning: step analyse: the step would have too many rows.",
        "  Give 'document' block: 10.",
    ]


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [("2s", "2.0"), ("200ms", "0.2"), ("1.5m", "90.0"), ("1h", "3600.0"), ("3", "3.0")],
)
def test_durations_are_typed_with_a_unit(
    run: Run, api: FakeApi, text: str, duration_s: str
) -> None:
    api.plans["index"] = request_plan("index")
    run("plan-request", "index", "--items", "5", "--duration", text)
    [call] = api.calls
    assert call.url.params["duration_s"] == duration_s
    assert call.url.params["items"] == "5"


def test_what_is_no_duration_is_refused(run: Run) -> None:
    result = run("plan-request", "index", "--duration", "soon")
    assert result.exit_code == Exit.USAGE
    assert "200ms" in result.stderr


def test_as_json_it_is_what_the_api_answers(run: Run, api: FakeApi) -> None:
    api.plans["index"] = request_plan("index", notices=[notice()])
    result = run("plan-request", "index", "-o", "json")
    assert json.loads(result.stdout) == api.plans["index"]
    assert result.stderr == ""


def test_an_unknown_type_is_not_found(run: Run) -> None:
    assert run("plan-request", "nothing").exit_code == Exit.NOT_FOUND


# -- apply ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.yaml").write_text(WIDE)
    return tmp_path


def test_apply_tells_the_limits_of_a_wide_type(run: Run, api: FakeApi, folder: Path) -> None:
    api.plans["index"] = request_plan("index", limits=[LIMIT])
    result = run("apply", str(folder), "--yes")
    assert result.exit_code == Exit.OK
    assert result.stderr.splitlines() == [
        "Limit: index, step analyse, document: beyond 10,000 items the step is refused: each job "
        "has a row; for more give it a block, so that jobs share rows",
        "See what a request takes: shiftwork plan-request index --items N",
    ]


def test_apply_has_the_limits_in_its_json(run: Run, api: FakeApi, folder: Path) -> None:
    api.plans["index"] = request_plan("index", limits=[LIMIT])
    result = run("apply", str(folder), "--yes", "-o", "json")
    assert json.loads(result.stdout)["changes"][0]["limits"] == [LIMIT]


def test_apply_says_nothing_of_narrow_types_or_unchanged_ones(
    run: Run, api: FakeApi, folder: Path
) -> None:
    api.plans["index"] = request_plan("index")
    assert run("apply", str(folder), "--yes").stderr == ""
    api.plans["index"] = request_plan("index", limits=[LIMIT])
    assert run("apply", str(folder), "--yes").stderr == ""


def test_apply_needs_no_plans_of_an_older_stack(run: Run, folder: Path) -> None:
    result = run("apply", str(folder), "--yes")
    assert (result.exit_code, result.stderr) == (Exit.OK, "")
