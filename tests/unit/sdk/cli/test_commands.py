"""Test the commands of requests and the stack: their output, messages and exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner, Result

from shiftwork.api.config import record_home
from shiftwork.api.errors import NotConfigured
from shiftwork.cli import app as commands
from shiftwork.cli import connection
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render.output import seconds
from shiftwork.local import LocalStackError, Stack, StackStatus
from tests.unit.sdk.fake_api import FakeApi, attempt, problem, request, step

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def requests(api: FakeApi) -> None:
    steps = [step(1, "greet", "completed", completed=2, retry=1), step(2, "leave")]
    api.lives = {
        "r-2": [request("r-2", "Inprogress", steps=steps, params={"who": "you"})],
        "r-1": [request("r-1", "Completed", steps=steps)],
    }


# -- answers -------------------------------------------------------------------------------------


def test_requests_are_listed_one_a_line_without_a_terminal(run: Run) -> None:
    result = run("requests")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["REQUEST", "ID", "TYPE", "STATUS", "STEP", "CREATED", "TOOK"]
    assert [line.split()[0] for line in lines[1:]] == ["r-2", "r-1"]
    assert lines[2].endswith("5.0 s")
    assert "\x1b" not in result.stdout


def test_json_is_all_that_stdout_gets(run: Run) -> None:
    result = run("requests", "-o", "json")
    assert [r["request_id"] for r in json.loads(result.stdout)["items"]] == ["r-2", "r-1"]


@pytest.mark.parametrize(
    "command",
    [
        ("show", "r-1"),
        ("jobs", "r-1"),
        ("failures", "r-1"),
        ("explain", "r-1"),
        ("cancel", "r-1"),
        ("retry", "r-1"),
        ("watch", "r-1"),
        ("submit", "greet"),
        ("submit", "greet", "--follow"),
        ("job", "logs", "r-1.1.0.1"),
        ("types",),
    ],
    ids=" ".join,
)
def test_every_command_can_answer_in_json(command: tuple[str, ...], run: Run, api: FakeApi) -> None:
    api.lives = {"r-1": [request("r-1", "Completed")]}
    api.attempts = [attempt(0, "completed")]
    result = run(*command, "--output", "json")
    assert isinstance(json.loads(result.stdout), dict)
    assert result.exit_code == Exit.OK


def test_filters_and_limit_reach_the_api(run: Run, api: FakeApi) -> None:
    result = run("requests", "--status", "failed", "--type", "greet", "--limit", "1")
    query = api.calls[0].url.params
    assert (query["status"], query["type"]) == ("Failed", "greet")
    assert len(result.stdout.splitlines()) == 2
    assert "--limit 5" in result.stderr


def test_show_lists_the_steps_and_says_what_to_do_next(run: Run) -> None:
    result = run("show", "r-2")
    assert '{"who": "you"}' in result.stdout
    assert result.stdout.splitlines()[-4].split()[:3] == ["1", "greet", "completed"]
    assert result.stdout.splitlines()[-1].split()[0] == "params"
    assert result.stderr == "Next: shiftwork watch r-2\n"


def test_long_params_are_one_line_below_the_steps_on_a_terminal(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "60", "LINES": "25"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    params = {"who": "you and me " * 20}
    api.lives["r-2"] = [request("r-2", "Failed", steps=[step(1, "greet")], params=params)]
    result = run("show", "r-2")
    last = result.stdout.splitlines()[-1]
    assert len(last) == 60
    assert last.startswith('params  {"who": "you and me')
    assert last.endswith("… (all with -o json)")
    assert result.stderr.splitlines() == [
        "Find out why with: shiftwork explain r-2",
        "Then run what failed again: shiftwork retry r-2",
    ]
    assert json.loads(run("show", "r-2", "-o", "json").stdout)["params"] == params


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("jobs", "r-1"), "There are none yet. See why with: shiftwork explain r-1"),
        (("jobs", "r-1", "--step", "2"), "There are none of these. See all with: shiftwork jobs"),
        (("requests",), "There are none. Submit one with: shiftwork submit TYPE"),
        (("workers",), "There are none: no worker has registered or polled lately."),
        (("workspaces",), "There are none. Define one in a file"),
        (("lifecycle-jobs",), "There are none. See the workspaces with"),
        (("types",), "There are none. Define some in files"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_list_of_nothing_is_a_sentence_without_a_header(
    command: tuple[str, ...], message: str, run: Run, api: FakeApi
) -> None:
    if command[0] == "requests":
        api.lives = {}
    api.workers = [[]]
    result = run(*command)
    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert result.stderr.startswith(message)


def test_an_attempt_shows_its_id_its_number_and_what_it_ran_in(run: Run, api: FakeApi) -> None:
    api.attempts = [attempt(0, "completed", tries=5, worker_id="7f984db0")]
    fields = dict(
        line.split(None, 1) for line in run("job", "show", "r-1.1.0.5").stdout.splitlines()
    )
    assert (fields["id"], fields["attempt"], fields["ran"]) == ("r-1.1.0.5", "5", "in     7f984db0")


def test_last_is_the_newest_request(run: Run) -> None:
    assert "r-2" in run("show", "last").stdout


def test_last_of_none_is_not_found(run: Run, api: FakeApi) -> None:
    api.lives = {}
    result = run("show", "last")
    assert result.exit_code == Exit.NOT_FOUND
    assert "no requests yet" in result.stderr


def test_jobs_name_their_items_and_errors(run: Run, api: FakeApi) -> None:
    error = {"type": "Retry", "message": "lost the\nrace"}
    api.attempts = [
        attempt(0, "retry", item={"size": 3, "name": "a[bold].md"}, error=error),
        attempt(0, "completed", tries=2, item="a.md"),
    ]
    lines = run("jobs", "r-1").stdout.splitlines()
    assert "greet[0] a[bold].md" in lines[1]
    assert lines[1].endswith("Retry: lost the race")
    assert lines[2].split()[0] == "r-1.1.0.2"


def test_explain_says_why_and_what_next(run: Run, api: FakeApi) -> None:
    blocker = {"attempt_id": "r-2.1.0.1", "job": "greet", "status": "new", "reason": "no worker"}
    api.explanation = {
        "request_id": "r-2",
        "status": "Inprogress",
        "summary": "It waits.",
        "step": None,
        "blocked_by": [blocker | {"wakes_at": None}],
        "wakes_at": None,
        "next": "shiftwork watch r-2",
    }
    result = run("explain", "last")
    assert "It waits." in result.stdout
    assert "no worker" in result.stdout
    assert "Next: shiftwork watch r-2" in result.stderr


def test_job_logs_are_lines(run: Run, api: FakeApi) -> None:
    api.logs = [{"timestamp": "2026-01-01T00:00:00Z", "message": f"line {n}\n"} for n in range(3)]
    result = run("job", "logs", "r-1.1.0.1")
    assert result.stdout.splitlines()[2] == "2026-01-01T00:00:00Z  line 2"


def test_structured_log_lines_show_what_they_say(run: Run, api: FakeApi) -> None:
    said = {"level": "ERROR", "message": "raised", "exception": "Traceback\nOSError", "x": 1}
    messages = [json.dumps(said), json.dumps({"message": {"a": 1}}), '{"a": 1}', "[1]", "{"]
    api.logs = [{"timestamp": "t", "message": message} for message in messages]
    assert run("job", "logs", "r-1.1.0.1").stdout.splitlines() == [
        "t  ERROR  raised",
        "Traceback",
        "OSError",
        't    {"a": 1}',
        't  {"a": 1}',
        "t  [1]",
        "t  {",
    ]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("jobs", "r-1", "--status", "bogus"), "new, inprogress, completed"),
        (("requests", "--status", "bogus"), "queuing, inprogress, completed"),
        (("workers", "--status", "bogus"), "idle, available, busy"),
        (("lifecycle-jobs", "--state", "bogus"), "pending, running, completed"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_unknown_status_is_a_usage_error_that_names_the_known_ones(
    command: tuple[str, ...], words: str, run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = run(*command)
    assert result.exit_code == Exit.USAGE
    assert f"'bogus' must be one of {words}" in result.stderr
    assert api.calls == []


# -- submitting ----------------------------------------------------------------------------------


def test_submit_writes_the_id_alone_so_that_a_script_can_keep_it(run: Run) -> None:
    result = run("submit", "greet")
    assert result.stdout == "r-2\n"
    assert "shiftwork watch r-2" in result.stderr


def test_submit_takes_params_as_pairs_json_and_files(
    run: Run, api: FakeApi, tmp_path: Path
) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"a": 1, "b": 2}')
    run("submit", "greet", "b=x=y", "c:=[1, null]", "--params", f"@{file}", "--extras", '{"e": 0}')
    run("submit", "greet", "--params", "@-", stdin='{"d": true}')
    first, second = api.bodies("POST")
    assert first["params"] == {"a": 1, "b": "x=y", "c": [1, None]}
    assert first["extras"] == {"e": 0}
    assert second["params"] == {"d": True}


def test_submit_sends_every_option(run: Run, api: FakeApi) -> None:
    options = ["--idempotency-key", "k", "--correlation-id", "c", "--priority", "7"]
    run("submit", "greet", *options, "--start-at", "2026-01-01T00:00:00Z")
    body = api.bodies("POST")[0]
    assert api.calls[0].headers["Idempotency-Key"] == "k"
    assert (body["correlation_id"], body["priority"]) == ("c", 7)
    assert body["start_at"] == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--params", "{"),
        ("--params", "[]"),
        ("--params", "@/does/not/exist"),
        ("--extras", "1"),
        ("no-pair",),
        ("=value",),
        ("a:=nothing",),
        ("--priority", "100"),
        ("--start-at", "some day"),
        ("--output", "xml"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_sends_nothing(
    arguments: tuple[str, ...], run: Run, api: FakeApi
) -> None:
    assert run("submit", "greet", *arguments).exit_code == Exit.USAGE
    assert api.calls == []


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interruption", "code"),
    [
        (problem(404, "there is none"), Exit.NOT_FOUND),
        (problem(409, "it has ended"), Exit.REFUSED),
        (problem(413, "too large"), Exit.REFUSED),
        (problem(422, "bad"), Exit.REFUSED),
        (problem(401, "who are you"), Exit.UNAUTHORIZED),
        (problem(403, "not you"), Exit.UNAUTHORIZED),
        (problem(500, "oh"), Exit.FAILED),
        (httpx2.ConnectError("refused"), Exit.UNREACHABLE),
    ],
    ids=str,
)
def test_each_error_has_its_exit_code_and_leaves_stdout_empty(
    interruption: httpx2.Response | Exception, code: Exit, run: Run, api: FakeApi
) -> None:
    api.interruptions = [interruption] * 4
    result = run("show", "r-1", "-o", "json")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("Error: ")


def test_every_fault_of_a_refusal_is_shown(run: Run, api: FakeApi) -> None:
    faults = {"params.a": "missing", "params.b": "too long"}
    api.interruptions = [
        problem(422, "bad params", "see its schema: GET /v1/request-types/greet", **faults)
    ]
    result = run("submit", "greet")
    assert result.stderr.splitlines() == [
        "Error: bad params",
        "  params.a: missing",
        "  params.b: too long",
        "See its schema: shiftwork types greet",
    ]


def test_a_refused_text_that_is_json_gets_advice_on_the_other_sign(run: Run, api: FakeApi) -> None:
    api.interruptions = [problem(422, "bad params", "see", **{"params.a": "x", "params.b": "y"})]
    assert "b:=[1]" in run("submit", "greet", "a=text", "b=[1]").stderr.splitlines()[-1]
    api.interruptions = [problem(422, "bad params", "see", **{"params.a": "x", "params.b": "y"})]
    assert run("submit", "greet", "a=text", 'b:="text"').stderr.splitlines()[-1] == "See"


@pytest.mark.parametrize(
    ("advice", "shown"),
    [
        ("look at it: GET /v1/requests/r-1", "Look at it: shiftwork show r-1"),
        ("list them: GET /v1/requests", "List them: shiftwork requests"),
        ("list what there is: GET /v1/job-types", "List what there is: shiftwork types"),
        (
            "correct what `errors` names; GET /openapi.json has the schema of every body",
            "Correct what is named above",
        ),
        ("send less", "Send less"),
    ],
)
def test_the_advice_of_the_api_becomes_commands(
    advice: str, shown: str, run: Run, api: FakeApi
) -> None:
    api.interruptions = [problem(409, "no", advice)]
    assert run("cancel", "r-1").stderr == f"Error: no\n{shown}\n"


def test_a_single_fault_is_written_once(run: Run, api: FakeApi) -> None:
    api.interruptions = [problem(422, "type: there is no greet", type="there is no greet")]
    assert run("submit", "greet").stderr == "Error: type: there is no greet\n"


def test_an_unknown_type_says_where_the_types_are(run: Run) -> None:
    result = run("types", "nope")
    assert result.exit_code == Exit.NOT_FOUND
    assert result.stderr == "Error: There is no type 'nope'.\nList them: shiftwork types\n"


def test_without_a_stack_the_next_command_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect() -> None:
        raise NotConfigured

    monkeypatch.setattr(connection, "connect", connect)
    result = run("requests")
    assert result.exit_code == Exit.UNREACHABLE
    assert result.stderr.startswith("Error: No stack is running.\nStart one with: shiftwork dev")


def test_an_unknown_command_is_a_usage_error(run: Run) -> None:
    assert run("nonsense").exit_code == Exit.USAGE


# -- the stack -----------------------------------------------------------------------------------


class FakeStack:
    """A stack that does nothing, and answers as a real one."""

    is_running = True
    commands: Sequence[str] = ()

    def up(self, report: Callable[[str], None]) -> dict[str, str]:
        report("starting the emulator")
        return {"SHIFTWORK_URL": "http://api"}

    def down(self, report: Callable[[str], None]) -> bool:
        return self.is_running

    def status(self) -> StackStatus:
        env: Mapping[str, str] = {}
        return StackStatus(self.is_running, self.is_running, "http://e", 7, Path("log"), env)

    def run_with_ephemeral(self, command: Sequence[str], report: Callable[[str], None]) -> int:
        self.commands = command
        return 42


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> FakeStack:
    stack = FakeStack()
    monkeypatch.setattr(Stack, "find", classmethod(lambda cls: stack))
    return stack


def test_up_reports_on_stderr_and_answers_on_stdout(run: Run, stack: FakeStack) -> None:
    result = run("up", "-o", "json")
    assert json.loads(result.stdout) == {"SHIFTWORK_URL": "http://api"}
    assert "starting the emulator" in result.stderr


def test_down_of_nothing_is_no_error(run: Run, stack: FakeStack) -> None:
    stack.is_running = False
    result = run("down")
    assert (result.exit_code, result.stdout) == (Exit.OK, "No stack was running.\n")


def test_exec_passes_the_command_and_its_exit_code_on(run: Run, stack: FakeStack) -> None:
    assert run("exec", "--", "pytest", "-x", "--output", "y").exit_code == 42
    assert list(stack.commands) == ["pytest", "-x", "--output", "y"]


def test_a_stack_that_cannot_start_says_what_helps(
    run: Run, stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(report: object) -> None:
        raise LocalStackError("Port 4566 is taken.", "choose another: SHIFTWORK_PORT=4567")

    monkeypatch.setattr(stack, "up", up)
    result = run("up")
    assert result.exit_code == Exit.FAILED
    assert result.stderr == "Error: Port 4566 is taken.\nChoose another: SHIFTWORK_PORT=4567\n"


def test_status_shows_the_api_and_the_emulator(
    run: Run, stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIFTWORK_URL", "http://api.test/stage")
    result = run("status", "-o", "json")
    answer = json.loads(result.stdout)
    assert (answer["is_answering"], answer["local"]["is_running"]) == (True, True)
    assert result.exit_code == Exit.OK


def test_status_of_a_silent_api_is_unreachable(
    run: Run, stack: FakeStack, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIFTWORK_URL", "http://api.test/stage")
    api.interruptions = [httpx2.ConnectError("refused")] * 4
    result = run("status")
    assert result.exit_code == Exit.UNREACHABLE
    assert "does not answer" in result.stdout
    assert "shiftwork up" in result.stderr


@pytest.mark.parametrize("output", ["table", "json"])
def test_status_with_a_wrong_token_answers_and_says_that_it_may_not_read(
    output: str, run: Run, stack: FakeStack, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIFTWORK_URL", "http://api.test/stage")
    api.interruptions = [
        httpx2.Response(200, json={"status": "ok"}),
        httpx2.Response(401, json={"message": "Unauthorized"}),
    ]
    result = run("status", "-o", output)
    assert result.exit_code == Exit.UNAUTHORIZED
    assert "The token may not read" in result.stderr
    is_told = '"may_read": false' if output == "json" else "may not read"
    assert is_told in result.stdout


# -- as a program --------------------------------------------------------------------------------


def test_the_exit_codes_are_in_the_help() -> None:
    text = " ".join(CliRunner().invoke(commands.app, ["--help"]).stdout.split())
    for code in (0, 1, 2, 3, 4, 5, 6, 130):
        assert f" {code} " in text


@pytest.mark.parametrize(
    ("value_s", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (59.9, "59.9 s"),
        (65, "1 m 05 s"),
        (3600, "1 h 00 m"),
        (90_000, "1 d 01 h"),
    ],
)
def test_durations_are_for_people(value_s: float, text: str) -> None:
    assert seconds(value_s) == text


def test_jobs_are_listed_by_entry_or_by_name_and_in_a_bounded_number(
    run: Run, api: FakeApi
) -> None:
    api.attempts = [
        *(attempt(n, "completed") for n in range(3)),
        attempt(9, "completed", job="greeting"),
        attempt(0, "completed", index=2, job="greet"),
    ]

    def found(*options: str) -> list[str]:
        answer = json.loads(run("jobs", "r-1", "-o", "json", *options).stdout)
        return [item["job"] for item in answer["items"]] + ["more"] * answer["has_more"]

    assert found("--job", "greet") == ["greet[0]", "greet[1]", "greet[2]", "greet"]
    assert found("--job", "greet[1]") == ["greet[1]"]
    assert found("--limit", "2") == ["greet[0]", "greet[1]", "more"]
    assert "shiftwork jobs r-1 --limit 10" in run("jobs", "r-1", "--limit", "2").stderr
    assert "There are none of these" in run("jobs", "r-1", "--job", "nobody").stderr


def test_an_empty_list_says_that_the_stack_was_lost(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.lives = {}
    assert "lost" not in run("requests").stderr
    monkeypatch.setenv("SHIFTWORK_LOST_AT", "2026-12-01T10:00:00+00:00")
    told = run("requests").stderr
    assert "started again at 2026-12-01T10:00:00+00:00: its emulator had lost all" in told


def test_status_says_that_the_emulator_is_lost(
    run: Run, stack: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = replace(stack.status(), is_lost=True)
    monkeypatch.setattr(stack, "status", lambda: status)
    assert "The emulator has ended by itself: what was in it is lost." in run("status").stderr


def test_status_names_the_stack_that_it_has_found_by_the_users_record(
    run: Run, stack: FakeStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "shop" / ".shiftwork"
    home.mkdir(parents=True)
    (home / "local.env").write_text("SHIFTWORK_URL=http://local\n")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SHIFTWORK_URL", raising=False)
    record_home(home, os.environ)
    monkeypatch.chdir(tmp_path)
    told = run("status").stderr
    assert f"this is the one of {tmp_path / 'shop'}" in told
