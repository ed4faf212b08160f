"""`shiftwork retry`: one request, several, or those of a status."""

from __future__ import annotations

import json

import pytest

from shiftwork.cli.exit_codes import Exit
from tests.unit.sdk.conftest import Run
from tests.unit.sdk.fake_api import FakeApi, request

FIRST, SECOND, THIRD = (f"{n}f8c6a1e-6f0b-4e51-9a53-6f3c1c5b7d10" for n in (1, 2, 3))


@pytest.fixture(autouse=True)
def failed(api: FakeApi) -> None:
    api.lives = {id: [request(id, "Failed")] for id in (FIRST, SECOND, THIRD)}


def retried(api: FakeApi) -> list[str]:
    return [call.url.path.split("/")[-2] for call in api.calls if call.method == "POST"]


def test_several_requests_are_retried_each_once(run: Run, api: FakeApi) -> None:
    result = run("retry", FIRST, SECOND, FIRST)
    assert result.stdout.splitlines() == [f"{FIRST} is Inprogress.", f"{SECOND} is Inprogress."]
    assert retried(api) == [FIRST, SECOND]
    assert result.exit_code == 0


def test_a_refused_one_is_told_and_the_others_are_retried(run: Run, api: FakeApi) -> None:
    api.retry_refusals = {SECOND: "it is Completed"}
    result = run("retry", FIRST, SECOND, THIRD)
    assert f"{SECOND} is refused: it is Completed" in result.stderr
    assert "1 of 3 are refused." in result.stderr
    assert retried(api) == [FIRST, SECOND, THIRD]
    assert result.exit_code == Exit.FAILED


def test_those_of_a_status_are_shown_before_somebody_agrees(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = run("retry", "--status", "failed", "--limit", "2")
    assert FIRST in refused.stdout and THIRD not in refused.stdout
    assert "these are the newest 2" in refused.stderr
    assert "Add --yes to retry them" in refused.stderr
    assert (refused.exit_code, retried(api)) == (Exit.USAGE, [])
    monkeypatch.setattr("shiftwork.cli.asking.has_terminal", lambda: True)
    assert run("retry", "--status", "failed", stdin="n\n").exit_code == Exit.FAILED
    assert retried(api) == []
    assert run("retry", "--status", "failed", stdin="y\n").exit_code == 0
    assert retried(api) == [FIRST, SECOND, THIRD]


def test_the_status_and_type_reach_the_api(run: Run, api: FakeApi) -> None:
    answer = json.loads(
        run("retry", "--status", "failed", "--type", "greet", "-y", "-o", "json").stdout
    )
    assert len(answer["items"]) == 3 and answer["refused"] == []
    assert dict(api.calls[0].url.params) | {"limit": ""} == {
        "status": "Failed",
        "type": "greet",
        "limit": "",
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name requests, or say --status"),
        ([FIRST, "--status", "failed"], "name requests, or say --status"),
        ([FIRST, "--type", "greet"], "goes with --status"),
        ([FIRST, SECOND, "--follow"], "follows one request"),
        (["--status", "failed", "--follow"], "follows one request"),
        (["--status", "queuing"], "must be one of failed, completed"),
    ],
)
def test_what_does_not_go_together_is_refused(
    run: Run, api: FakeApi, words: list[str], told: str
) -> None:
    result = run("retry", *words)
    assert (result.exit_code, told in result.stderr) == (Exit.USAGE, True), result.stderr
    assert api.calls == []


def test_where_none_has_failed_nothing_is_asked(run: Run, api: FakeApi) -> None:
    api.lives = {}
    result = run("retry", "--status", "failed")
    assert ("There are none of these" in result.stderr, result.exit_code) == (True, 0)
