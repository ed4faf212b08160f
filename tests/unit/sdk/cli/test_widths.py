"""Draw every command at four widths: ids and headers are whole, no line is too long."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import Result

from shiftwork.api.shapes import JobLine
from shiftwork.cli.demos import documents, orders, workspaces
from shiftwork.cli.demos import workers as demo_workers
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render.output import Output
from shiftwork.local import Stack
from tests.unit.sdk.cli.test_commands import FakeStack
from tests.unit.sdk.cli.test_metrics_commands import METRICS, a_rebuild
from tests.unit.sdk.fake_api import FakeApi, attempt, failure, request, step, worker
from tests.unit.sdk.fake_plans import notice, request_plan
from tests.unit.sdk.fake_workspaces import OFFICE_HOURS, job, line, pending, planned, workspace
from tools import draw_cli

Run = Callable[..., Result]

WIDTHS = [60, 80, 120, 200]
#: So wide that everything fits.
ENDLESS = 1000

REQUEST = "0f8c6a1e-6f0b-4e51-9a53-6f3c1c5b7d10"
OTHER = "7d10c0de-1111-4222-8333-444455556666"
ATTEMPTS = [f"{REQUEST}.12.1034.{number}" for number in (1, 2, 3)]
JOBS = ["a1b2c3d4-0000-4111-8222-333344445555", "b1b2c3d4-0000-4111-8222-333344445555"]
WORKER = "ip-10-42-117-203.eu-central-1.internal-31415"
WORKSPACE = "integration-tests-of-the-data-team"
TEXT = "the service answered 503 for the fifth time, and its operators were told; " * 3
ERROR = {"type": "ServiceUnavailable", "message": TEXT}
PARAMS = {"prefix": "documents/2026", "who": ["ada", "bob"], "note": TEXT}

#: What is typed for each command, and the ids that must stand whole in its answer.
CASES: dict[str, tuple[list[str], list[str]]] = {
    "up": ([], []),
    "down": ([], []),
    "status": ([], []),
    "metrics show": ([], ["index-documents-of-many-folders", "gpu.render"]),
    "metrics rebuild": (["--no-wait"], []),
    "apply": (["PATH", "--yes"], []),
    "types": ([], ["index-documents-of-many-folders"]),
    "plan-request": (["index-documents-of-many-folders", "--items", "12000"], []),
    "submit": (["greet"], [REQUEST]),
    "watch": ([REQUEST], [REQUEST]),
    "requests": ([], [REQUEST, OTHER]),
    "logs": ([REQUEST], []),
    "show": ([REQUEST], [REQUEST]),
    "jobs": ([REQUEST], ATTEMPTS),
    "failures": ([REQUEST], ATTEMPTS),
    "cancel": ([REQUEST], [REQUEST]),
    "retry": ([REQUEST], [REQUEST]),
    "explain": ([REQUEST], [REQUEST, *ATTEMPTS[:2]]),
    "job show": ([ATTEMPTS[0]], [ATTEMPTS[0]]),
    "job logs": ([ATTEMPTS[0]], []),
    "workers": ([], [WORKER, "gpu-7"]),
    "worker show": ([WORKER], [WORKER, *ATTEMPTS]),
    "worker drain": ([WORKER], [WORKER]),
    "worker resume": ([WORKER], [WORKER]),
    "worker revoke": ([WORKER], [WORKER]),
    "worker invite": ([WORKER], []),
    "worker explain": ([WORKER], [WORKER, "gpu.render#eu"]),
    "worker forget": ([WORKER], [WORKER]),
    "workspaces": ([], [WORKSPACE, "dev"]),
    "workspace show": ([WORKSPACE], [WORKSPACE]),
    "workspace start": ([WORKSPACE], [JOBS[0]]),
    "workspace stop": ([WORKSPACE, "--dry-run"], [WORKSPACE]),
    "workspace active": ([WORKSPACE], [WORKSPACE]),
    "workspace deadline": ([WORKSPACE, "+2h"], [WORKSPACE]),
    "workspace delete": ([WORKSPACE], [WORKSPACE]),
    "workspace explain": ([WORKSPACE], [WORKSPACE]),
    "plan": ([WORKSPACE], [WORKSPACE]),
    "override": ([WORKSPACE, "on", "--until", "+2h"], [WORKSPACE]),
    "lifecycle-jobs": ([], JOBS),
    "lifecycle-job show": ([JOBS[0]], [JOBS[0], WORKSPACE]),
    "lifecycle-job logs": ([JOBS[0]], []),
    "lifecycle-job cancel": ([JOBS[1]], [JOBS[1]]),
}
#: Commands that change what they show.
CHANGING = {"apply", "workspace delete", "workspace start", "lifecycle-job cancel"}
#: Commands that are not drawn here, and why.
ELSEWHERE = {
    "check": "it writes one line, or faults as apply does",
    "dev": "it writes a log",
    "init": "it writes one line",
    "deploy": "its lines are the template's names and values",
    "test": "pytest writes",
    "exec": "another program writes",
    "verify": "its report is Markdown, to attach to an issue",
    "worker run": "it writes a log",
    "demo": "its report is drawn below",
    "demo-wide": "its report is drawn below",
    "demo-workers": "its report is drawn below",
    "demo-workspaces": "its report is drawn below",
}


@pytest.fixture(autouse=True)
def world(api: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fill the API with ids as long as they are in life, and with long texts."""
    monkeypatch.setattr(Stack, "find", classmethod(lambda cls: FakeStack()))
    monkeypatch.setenv("SHIFTWORK_URL", "http://api.test/stage")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "types.yaml").write_text(
        "kind: job-type\nname: greet.one\ntarget: python\n"
        f"description: {TEXT.strip(' ;')}\nretry: {{max_attempts: 3}}\n"
    )
    _fill_definitions(api)
    _fill_requests(api)
    _fill_workers(api)
    _fill_workspaces(api)
    api.metrics = (
        METRICS.replace('type="index"', 'type="index-documents-of-many-folders"')
        .replace('type="render"', 'type="gpu.render"')
        .replace(" 5.0", " 1234567.0")
    )
    api.rebuilds = [a_rebuild("waiting")]


def _fill_definitions(api: FakeApi) -> None:
    for kind, name in (
        ("request-type", "index-documents-of-many-folders"),
        ("job-type", "greet.one"),
    ):
        body = {"kind": kind, "name": name, "version": 123, "description": TEXT, "target": "http"}
        api.definitions[kind, name] = body
    name = "index-documents-of-many-folders"
    api.plans = {name: request_plan(name, notices=[notice(TEXT)])}


def _fill_requests(api: FakeApi) -> None:
    steps = [
        step(1, "list-the-documents", "completed", completed=1),
        step(2, "analyse-every-one", "completed", completed=1200, retry=13, failure=2, cancelled=1),
    ]
    full = {"type": "index-documents-of-many-folders", "steps": steps, "params": PARAMS}
    api.lives = {
        REQUEST: [request(REQUEST, "Completed", **full, correlation_id="c" * 40, extras=PARAMS)],
        OTHER: [request(OTHER, "Failed", **full, error=ERROR)],
    }
    item = {"path": "docs/reference/of-the/command-line/and-its/many-options.md"}
    api.attempts = [
        attempt(
            1034,
            status,
            index=12,
            tries=number,
            attempt_id=attempt_id,
            job="analyse-every-one[1034]",
            item=item,
            error=error,
            worker_id=WORKER,
            output=PARAMS,
        )
        for number, (attempt_id, status, error) in enumerate(
            zip(ATTEMPTS, ["retry", "retry", "completed"], [ERROR, ERROR, None], strict=True), 1
        )
    ]
    api.failures = [
        failure(
            1034, type, attempt_id=attempt_id, job=name, error=ERROR | {"type": type}, item=TEXT
        )
        for type, attempt_id, name in zip(
            ["ServiceUnavailable", "KeyError", "KeyError"],
            ATTEMPTS,
            ["analyse-every-one[1034]"] * 3,
            strict=True,
        )
    ]
    api.logs = [{"timestamp": "2026-01-01T00:00:00.123Z", "message": TEXT}]
    logged = {"id": "1", "attempt_id": ATTEMPTS[0], "job": "analyse[1034]"}
    api.followed = [[JobLine(**api.logs[0], **logged)]] * 2  # type: ignore[typeddict-item]
    blocked = {
        "job": "analyse-every-one[1034]",
        "status": "inprogress",
        "reason": TEXT,
        "wakes_at": "2026-01-01T00:00:00.000Z",
    }
    api.explanation = {
        "request_id": REQUEST,
        "status": "Inprogress",
        "summary": f"It waits for {ATTEMPTS[0]}: {TEXT}",
        "step": None,
        "blocked_by": [blocked | {"attempt_id": found} for found in ATTEMPTS[:2]],
        "wakes_at": "2026-01-01T00:00:00.000Z",
        "next": f"shiftwork watch {REQUEST}",
        "worker_id": WORKER,
        "running": 1,
        "build_limit": 2,
        "queues": [
            {
                "queue": "gpu.render#eu",
                "waiting": 12345,
                "is_blocked": True,
                "reason": TEXT,
                "next": "shiftwork types gpu.render",
            }
        ],
    }


def _fill_workers(api: FakeApi) -> None:
    found = [
        worker(
            WORKER,
            "available",
            *ATTEMPTS,
            routes=["parcels.pack", "parcels.book-carrier"],
        ),
        worker("gpu-7", "error", error=TEXT, active=False),
    ]
    api.workers = [found] * 9


def _fill_workspaces(api: FakeApi) -> None:
    override = {
        "desired": "off",
        "since": "2026-11-24T19:00:00.000Z",
        "until": "2026-11-30T07:00:00.000Z",
        "reason": TEXT,
    }
    api.workspaces.put(
        workspace("dev"),
        workspace(
            WORKSPACE,
            override=override,
            error=TEXT,
            failures=3,
            detail="3 of 4 run",
            deadline="2026-11-26T19:00:00.000Z",
            pending=pending("stop", "2026-11-26T19:00:00.000Z"),
            definition={
                "driver": {"type": "ec2", "instance_ids": ["i-0123456789abcdef0"] * 4},
                "schedule": {"windows": [OFFICE_HOURS], "ttl_s": 3600},
            },
        ),
    )
    api.workspaces.calls = [f"ec2:StartInstances {', '.join(['i-0123456789abcdef0'] * 4)}"]
    states = ["failed", "pending"]
    api.workspaces.lives = {
        id: [job(id, state, workspace_id=WORKSPACE, reason=TEXT)]
        for id, state in zip(JOBS, states, strict=True)
    }
    api.workspaces.logs = {JOBS[0]: [[line(1, TEXT), line(2, TEXT, "error")]]}
    api.workspaces.plan = [
        planned("2026-11-26T19:00:00Z", "stop", TEXT),
        planned("2026-11-27T07:00:00Z", None, TEXT),
    ]
    at = "2026-11-26T19:00:00.000Z"
    api.workspaces.explanation = {
        "workspace_id": WORKSPACE,
        "state": "running",
        "summary": TEXT,
        "next": [{"operation": "stop", "at": at, "cause": "schedule", "reason": TEXT}],
        "blocked_by": [TEXT],
        "left_out": [{"at": at, "reason": TEXT}],
        "latest_jobs": [
            {
                "id": JOBS[0],
                "operation": "stop",
                "state": "failed",
                "deadline": at,
                "reason": "",
                "error": TEXT,
            }
        ],
    }


# -- what is asserted ----------------------------------------------------------------------------

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HEADER = re.compile(r"[A-Z]+(?: {1,2}[A-Z]+)*(?: {2,}[A-Z]+(?: [A-Z]+)*)+")
#: The title of a column whose texts stand below their rows.
_TITLE_BELOW = re.compile(r"  [A-Z]+")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def lines_of(text: str) -> list[str]:
    """Return the lines that a terminal shows, without colours."""
    return [part.rstrip() for part in _CONTROLS.sub("", text).splitlines()]


def titles_of(lines: list[str]) -> list[str]:
    """Return the titles of the tables' columns."""
    headers = [text for text in lines if _HEADER.fullmatch(text)]
    below = [text.strip() for text in lines if _TITLE_BELOW.fullmatch(text)]
    return [title for header in headers for title in re.split(r" {2,}", header)] + below


def assert_readable(shown: str, told: str, endless: str, width: int, ids: list[str]) -> None:
    """Assert what is true of every answer on a terminal.

    Parameters
    ----------
    shown, told
        What stdout and stderr got.
    endless
        What stdout gets where everything has room.
    ids
        Those that must be there.
    """
    lines = lines_of(shown)
    assert lines
    # A word in one piece, such as a path or an address, is not broken: a terminal wraps it.
    assert [text for text in lines if cell_len(text) > width and len(text.split()) > 1] == []
    for id in ids:
        assert any(re.search(rf"(?<![\w-]){re.escape(id)}(?![\w-])", text) for text in lines), id
    for text in lines:
        begun = re.findall(r"\b[0-9a-f]{8}-", text)
        assert len(begun) == len(_UUID.findall(text)), f"an id is cut: {text}"
    titles, all_titles = titles_of(lines), titles_of(lines_of(endless))
    assert set(titles) <= set(all_titles)
    note = " ".join(told.split()).partition("No room for ")[2].partition(":")[0].split(", ")
    assert set(all_titles) - set(titles) == set(note) - {""}


# -- the commands --------------------------------------------------------------------------------


def test_every_command_has_a_case_or_a_reason_why_not() -> None:
    names = {" ".join(words[1:]) for words, _ in draw_cli.commands()}
    assert names == {*CASES, *ELSEWHERE}


@pytest.mark.parametrize("name", CASES)
def test_every_command_is_readable_at_any_width(
    name: str, run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments, ids = CASES[name]
    words = [*name.split(), *(str(tmp_path) if a == "PATH" else a for a in arguments)]
    for width in [ENDLESS, *WIDTHS]:
        monkeypatch.setenv("COLUMNS", str(width))
        _fill_definitions(api)
        _fill_requests(api)
        _fill_workers(api)
        _fill_workspaces(api)
        result = run(*words)
        assert result.exit_code == Exit.OK, result.output
        if width == ENDLESS:
            endless = result.stdout
        else:
            assert_readable(result.stdout, result.stderr, endless, width, ids)


@pytest.mark.parametrize(
    "name", [name for name in CASES if name not in ("watch", "plan", "status", "up", "down")]
)
def test_off_a_terminal_nothing_is_cut(
    name: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FORCE_COLOR")
    arguments, ids = CASES[name]
    words = [*name.split(), *(str(tmp_path) if a == "PATH" else a for a in arguments)]
    answers = []
    for width in (60, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        answers.append(run(*words))
    narrow, wide = answers
    assert "No room" not in narrow.stderr
    assert "\x1b" not in narrow.stdout
    assert all(id in narrow.stdout for id in ids)
    if name not in (
        "apply",
        "workspace delete",
        "workspace start",
        "lifecycle-job cancel",
    ):  # They change what they show.
        assert re.sub(r"\S+ ago", "", narrow.stdout) == re.sub(r"\S+ ago", "", wide.stdout)
        assert "…" not in narrow.stdout.replace("… (", "")


# -- the demos' reports --------------------------------------------------------------------------

REPORT: dict[str, Any] = {
    "summary": {"documents": 48, "words": 123456, "distinct_words": 9999, "links": 731},
    "files": {
        f"layers/core/shiftwork_core/services/requests/of_chapter_{n}.py": {
            "words": 1234,
            "telling": [["supercalifragilistic", 1.0], ["protocol", 0.5], ["idempotency", 0.2]],
            "links_to": ["b.py"],
            "linked_from": [],
        }
        for n in range(20)
    },
}


def draw_documents(out: Output, api: FakeApi) -> None:
    place = {"bucket": "blobs-5cd25b", "key": "documents/r.json", "markdown_key": "documents/r.md"}
    extras = {"report": place | {"summary": REPORT["summary"]}}
    steps = [step(1, "analyse", "completed", completed=2, retry=3)]
    done = request(REQUEST, "Completed", extras=extras, steps=steps)
    retries = Counter({"Retry": 3, "Timeout": 2})
    documents._show(out, done, REPORT, Path(".shiftwork/report.md"), retries)


def draw_orders(out: Output, api: FakeApi) -> None:
    sums = {"orders": 99_000, "cents": 4_967_605_239}
    report = sums | {"regions": {"east": sums}}
    steps = [step(1, "load", "completed", completed=99_000, failure=1_000)]
    done = request(REQUEST, "Completed", extras={"report": report}, steps=steps)
    orders._show(api.client(), out, done)


def draw_workers(out: Output, api: FakeApi) -> None:
    done = request(REQUEST, "Completed", extras={"handed_over": {"boxes": 9, "to": "Albatross"}})
    booked = attempt(6, "completed", job="carrier", output={"asked": 4}, worker_id="demo-1")
    demo_workers._show(out, done, [*api.attempts, booked])


def draw_workspaces(out: Output, api: FakeApi) -> None:
    workspaces.Demo(api.client(), out, names=[WORKSPACE]).show()


@pytest.mark.parametrize("draw", [draw_documents, draw_orders, draw_workers, draw_workspaces])
def test_every_demos_report_is_readable_at_any_width(
    draw: Callable[[Output, FakeApi], None],
    api: FakeApi,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for width in [ENDLESS, *WIDTHS]:
        monkeypatch.setenv("COLUMNS", str(width))
        draw(Output(), api)
        shown = capsys.readouterr()
        if width == ENDLESS:
            endless = shown.out
        else:
            assert_readable(shown.out, shown.err, endless, width, [])
            assert "shiftwork down" in shown.out
