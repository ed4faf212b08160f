"""Test what may be typed for an id: `last`, a beginning, or a job of a request."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from shiftwork.api.shapes import Attempt
from shiftwork.cli.exit_codes import Exit
from tests.unit.sdk.fake_api import FakeApi, attempt, request, worker
from tests.unit.sdk.fake_workspaces import job, workspace

Run = Callable[..., Result]

ONE = "0f8c6a1e-6f0b-4e51-9a53-6f3c1c5b7d10"
TWO = "0f8c77aa-1111-4222-8333-444455556666"
THREE = "7d10aaaa-1111-4222-8333-444455556666"


def attempt_of(request_id: str, name: str, number: int, tries: int = 1, index: int = 1) -> Attempt:
    return attempt(
        number,
        "completed",
        index=index,
        tries=tries,
        job=name,
        attempt_id=f"{request_id}.{index}.{number}.{tries}",
    )


@pytest.fixture(autouse=True)
def things(api: FakeApi) -> None:
    api.lives = {id: [request(id, "Completed", current_step=2)] for id in (THREE, TWO, ONE)}
    api.attempts = [
        attempt_of(THREE, "list", 0),
        attempt_of(THREE, "send[0]", 0, index=2),
        attempt_of(THREE, "send[1]", 1, index=2),
        attempt_of(THREE, "send[1]", 1, 2, index=2),
        attempt_of(THREE, "send[10]", 10, index=2),
    ]
    api.logs = [{"timestamp": "t", "message": "said"}]
    api.workspaces.lives = {id: [job(id)] for id in (THREE, TWO, ONE)}
    api.workspaces.put(workspace("demo-lab"), workspace("demo-late"), workspace("office"))
    api.workers = [[worker("host-1"), worker("host-10"), worker("gpu-7")]] * 9


REQUEST_COMMANDS = [["show"], ["jobs"], ["watch"]]
CHANGES = [["cancel"], ["retry"]]


# -- requests and lifecycle jobs -----------------------------------------------------------------


@pytest.mark.parametrize("command", REQUEST_COMMANDS, ids=" ".join)
@pytest.mark.parametrize(("text", "meant"), [("last", THREE), ("7", THREE), ("0f8c6", ONE)])
def test_a_request_is_named_by_last_or_its_beginning(
    run: Run, api: FakeApi, command: list[str], text: str, meant: str
) -> None:
    assert run(*command, text).exit_code == Exit.OK
    assert f"/requests/{meant}" in api.calls[-1].url.path


@pytest.mark.parametrize("command", CHANGES, ids=" ".join)
@pytest.mark.parametrize(("text", "meant"), [("last", THREE), ("7d10aaaa", THREE), (ONE[:9], ONE)])
def test_a_request_to_change_is_named_by_last_or_a_long_beginning(
    run: Run, api: FakeApi, command: list[str], text: str, meant: str
) -> None:
    assert run(*command, text).exit_code == Exit.OK
    assert f"/requests/{meant}" in api.calls[-1].url.path


@pytest.mark.parametrize("verb", ["show", "logs", "cancel"])
@pytest.mark.parametrize(("text", "meant"), [("last", THREE), ("0f8c77aa", TWO)])
def test_a_lifecycle_job_is_named_by_last_or_its_beginning(
    run: Run, api: FakeApi, verb: str, text: str, meant: str
) -> None:
    assert run("lifecycle-job", verb, text).exit_code == Exit.OK
    assert f"/lifecycle-jobs/{meant}" in api.calls[-1].url.path


def test_a_whole_id_costs_no_further_call(run: Run, api: FakeApi) -> None:
    run("show", ONE)
    run("lifecycle-job", "show", ONE)
    run("job", "logs", f"{ONE}.1.0.1")
    assert len(api.calls) == 3


def test_an_ambiguous_beginning_lists_what_it_could_be(run: Run) -> None:
    result = run("show", "0f8c")
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert result.stderr.splitlines() == [
        "Error: '0f8c' could be any of 2:",
        f"  {TWO}  greet  Completed",
        f"  {ONE}  greet  Completed",
        "Type more of its beginning",
    ]
    assert run("lifecycle-job", "cancel", "0f8c").exit_code == Exit.USAGE


def test_at_most_five_candidates_are_listed(run: Run, api: FakeApi) -> None:
    api.lives = {f"{ONE[:-1]}{n}": [request(f"{ONE[:-1]}{n}")] for n in range(9)}
    lines = run("show", "0").stderr.splitlines()
    assert len(lines) == 8
    assert lines[6] == "  … and 4 more"


def test_only_the_newest_requests_are_read_for_a_beginning(run: Run, api: FakeApi) -> None:
    api.lives = {f"r-{n}": [request(f"r-{n}")] for n in range(700)}
    assert run("show", "none").exit_code == Exit.NOT_FOUND
    assert len(api.calls) == 250  # Pages of two.


@pytest.mark.parametrize(
    ("command", "see"),
    [
        (["show", "zzz"], "shiftwork requests"),
        (["lifecycle-job", "show", "zzz"], "shiftwork lifecycle-jobs"),
        (["job", "logs", "last/zzz"], f"shiftwork jobs {THREE}"),
        (["job", "show", f"{THREE}.9"], f"shiftwork jobs {THREE}"),
        (["job", "show", "zzz/send"], "shiftwork requests"),
        (["worker", "show", "zzz"], "shiftwork workers"),
        (["workspace", "show", "zzz"], "shiftwork workspaces"),
    ],
    ids=str,
)
def test_what_is_not_there_says_what_to_type(run: Run, command: list[str], see: str) -> None:
    result = run(*command)
    assert result.exit_code == Exit.NOT_FOUND
    assert see in result.stderr


# -- attempts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("last/send[1]", f"{THREE}.2.1.2"),
        ("last/list", f"{THREE}.1.0.1"),
        ("7d10/send[10]", f"{THREE}.2.10.1"),
        ("last/send[10", f"{THREE}.2.10.1"),
        ("last.2.1.1", f"{THREE}.2.1.1"),
        ("7d10.1", f"{THREE}.1.0.1"),
        (f"{THREE}.2.1.1", f"{THREE}.2.1.1"),
        (f"{THREE}.2.10", f"{THREE}.2.10.1"),
    ],
)
def test_an_attempt_is_named_by_its_job_or_its_beginning(
    run: Run, api: FakeApi, text: str, meant: str
) -> None:
    assert json.loads(run("job", "show", text, "-o", "json").stdout)["attempt_id"] == meant
    assert run("job", "logs", text).stdout == "t  said\n"
    assert api.calls[-1].url.path.endswith(f"/jobs/{meant}/logs")


@pytest.mark.parametrize("text", ["last/send", "last", f"{THREE}.2", "7d10.2.1"])
def test_an_ambiguous_attempt_lists_the_attempts(run: Run, text: str) -> None:
    result = run("job", "logs", text)
    assert result.exit_code == Exit.USAGE
    assert f"  {THREE}.2.1.2  send[1]  completed" in result.stderr


def test_an_attempt_is_shown_with_its_whole_error(run: Run, api: FakeApi) -> None:
    message = "lost the race " * 20
    api.attempts = [attempt(0, "failure", error={"type": "Retry", "message": message})]
    api.attempts[0]["attempt_id"] = f"{ONE}.1.0.1"
    result = run("job", "show", f"{ONE}.1.0.1")
    assert f"error      Retry: {message}" in result.stdout
    assert f"shiftwork job logs {ONE}.1.0.1" in result.stderr


# -- workers and workspaces ----------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["show", "explain"])
def test_a_worker_to_read_is_named_by_its_beginning(run: Run, api: FakeApi, verb: str) -> None:
    api.explanation = dict.fromkeys(["status", "summary", "running", "build_limit", "next"], "")
    api.explanation |= {"worker_id": "gpu-7", "queues": []}
    result = run("worker", verb, "gp")
    assert "gpu-7" in result.stdout
    assert "'gp' is read as gpu-7" in result.stderr
    assert run("worker", verb, "host-1").exit_code == Exit.OK
    assert "/workers/host-1" in api.calls[-1].url.path
    ambiguous = run("worker", verb, "host")
    assert ambiguous.exit_code == Exit.USAGE
    assert "  host-10  idle" in ambiguous.stderr


@pytest.mark.parametrize("verb", ["drain", "resume", "forget"])
def test_a_worker_to_change_is_named_in_full(run: Run, api: FakeApi, verb: str) -> None:
    refused = run("worker", verb, "gp")
    assert refused.exit_code == Exit.NOT_FOUND
    assert "Type the whole name of what to change, such as gpu-7" in refused.stderr
    assert {call.method for call in api.calls} >= {"GET"}
    assert not any("gpu-7" in call.url.path for call in api.calls)
    assert run("worker", verb, "host-1").exit_code == Exit.OK
    assert "/workers/host-1" in api.calls[-1].url.path


READS = [
    ["workspace", "show", "NAME"],
    ["workspace", "stop", "NAME", "--dry-run"],
    ["plan", "NAME"],
]


@pytest.mark.parametrize("command", READS, ids=" ".join)
def test_a_workspace_to_read_is_named_by_its_beginning(run: Run, command: list[str]) -> None:
    ambiguous = run(*("demo-la" if word == "NAME" else word for word in command))
    assert ambiguous.exit_code == Exit.USAGE
    assert "  demo-late  running" in ambiguous.stderr
    result = run(*("off" if word == "NAME" else word for word in command))
    assert result.exit_code == Exit.OK, result.stderr
    assert "office" in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["workspace", "start", "NAME"],
        ["workspace", "stop", "NAME"],
        ["workspace", "active", "NAME"],
        ["workspace", "deadline", "NAME", "+2h"],
        ["workspace", "delete", "NAME"],
        ["override", "NAME", "on", "--until", "+2h"],
        ["override", "NAME", "clear"],
    ],
    ids=" ".join,
)
def test_a_workspace_to_change_is_named_in_full(run: Run, command: list[str]) -> None:
    refused = run(*("off" if word == "NAME" else word for word in command))
    assert refused.exit_code == Exit.NOT_FOUND
    assert "Type the whole name of what to change, such as office" in refused.stderr
    result = run(*("office" if word == "NAME" else word for word in command))
    assert result.exit_code == Exit.OK, result.stderr


def test_deleting_a_workspace_again_deletes_no_other(run: Run, api: FakeApi) -> None:
    api.workspaces.put(workspace("office-2"))
    assert run("workspace", "delete", "office").exit_code == Exit.OK
    again = run("workspace", "delete", "office")
    assert again.exit_code == Exit.NOT_FOUND
    assert "office-2" in run("workspaces").stdout


# -- what names nothing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        *([*command, "ID"] for command in [*REQUEST_COMMANDS, *CHANGES]),
        ["lifecycle-job", "cancel", "ID"],
        ["job", "show", "ID"],
        ["job", "show", "ID/send[1]"],
        ["job", "logs", "last/ID"],
        ["worker", "forget", "ID"],
        ["worker", "show", "ID"],
        ["workspace", "delete", "ID"],
    ],
    ids=" ".join,
)
def test_an_empty_id_names_nothing(run: Run, api: FakeApi, command: list[str]) -> None:
    for text in ("", " "):
        result = run(*(word.replace("ID", text) for word in command))
        assert result.exit_code == Exit.USAGE
        assert "The id is empty" in result.stderr
    assert {call.method for call in api.calls} <= {"GET"}


@pytest.mark.parametrize("command", [*CHANGES, ["lifecycle-job", "cancel"]], ids=" ".join)
def test_a_short_beginning_names_nothing_to_change(
    run: Run, api: FakeApi, command: list[str]
) -> None:
    result = run(*command, THREE[:7])
    assert result.exit_code == Exit.USAGE
    assert "at least 8 characters" in result.stderr
    assert {call.method for call in api.calls} == {"GET"}
    assert run(*command, THREE[:8]).exit_code == Exit.OK


# -- jobs of several steps, and of wide ones -----------------------------------------------------


def test_a_job_that_two_steps_have_is_that_of_the_later_step(run: Run, api: FakeApi) -> None:
    api.attempts = [attempt_of(THREE, "check", 0), attempt_of(THREE, "check", 0, index=2)]
    shown = json.loads(run("job", "show", "last/check", "-o", "json").stdout)
    assert shown["attempt_id"] == f"{THREE}.2.0.1"


def test_a_job_whose_newest_attempt_may_not_be_read_is_not_found(run: Run, api: FakeApi) -> None:
    api.attempts = [attempt_of(THREE, f"send[{n}]", n, index=2) for n in range(1000)]
    api.attempts.append(attempt_of(THREE, "send[999]", 999, 2, index=2))
    result = run("job", "show", "last/send[999]")
    assert result.exit_code == Exit.NOT_FOUND
    assert "not among the first 1000 attempts" in result.stderr
    assert run("job", "show", "last/send[998]").exit_code == Exit.OK


def test_a_job_with_dots_in_its_name_is_a_job(run: Run, api: FakeApi) -> None:
    api.attempts = [attempt_of(THREE, "v.1.2.3", 0)]
    assert run("job", "logs", "last/v.1.2.3").exit_code == Exit.OK
    assert api.calls[-1].url.path.endswith(f"/jobs/{THREE}.1.0.1/logs")
