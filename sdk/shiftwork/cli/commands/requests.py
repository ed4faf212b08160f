"""Commands for requests and their jobs: list, show, watch, cancel, retry, explain."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftwork.cli import choices, completing, connection, references
from shiftwork.cli.render.output import Format, Output, OutputOption, compact, duration
from shiftwork.cli.render.tables import Column, Shape
from shiftwork.cli.render.watching import Watched, WatchOption

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.shapes import Attempt, Request, RequestSummary, Step

RequestId = Annotated[
    str,
    typer.Argument(
        help="The request's id or its beginning; `last` is the newest.",
        autocompletion=completing.requests,
    ),
]
AttemptId = Annotated[
    str,
    typer.Argument(
        help="An attempt's id or its beginning; `last/send[3]` is that job's newest attempt.",
        autocompletion=completing.requests,
    ),
]
_MAX_VALUE_CHARACTERS = 500
#: An error that has less room in its row stands below it.
_LEAST_REASON = 40
_COLUMNS = (
    Column("REQUEST ID"),
    Column("TYPE", 8, Shape.CUT),
    Column("STATUS", 9),
    Column("STEP", 5),
    Column("CREATED", 7),
    Column("TOOK", 6),
)
_JOB_COLUMNS = (
    Column("ATTEMPT ID"),
    Column("JOB", 8, Shape.CUT, least=14),
    Column("STATUS", 9),
    Column("ATTEMPT", 5),
    Column("TOOK", 6),
    Column("ERROR", 4, Shape.CUT, _LEAST_REASON, is_told=True),
)
_BLOCKER_COLUMNS = (
    Column("ATTEMPT ID"),
    Column("JOB", 7, Shape.CUT, least=14),
    Column("STATUS", 8),
    Column("REASON", 4, Shape.CUT, _LEAST_REASON, is_told=True),
    Column("WAKES AT", 6),
)


def watch(request_id: RequestId, output: OutputOption = Format.TABLE) -> None:
    """Watch a request until it ends. Ctrl-C ends only the watching."""
    with connection.connect() as client:
        follow_request(client, references.request_id(client, request_id), Output(output))


def follow_request(client: ShiftworkClient, request_id: str, out: Output) -> None:
    """Watch the request; the exit code says whether it completed."""
    from shiftwork.cli.render import progress

    request = progress.watch(client, request_id, out)
    if out.is_json:
        out.json(request)
    end_watch(request, out)


def end_watch(request: Request, out: Output) -> None:
    """Say what to type next, and exit with a code that says whether the request completed."""
    from shiftwork.cli.exit_codes import Exit

    request_id = request["request_id"]
    if request["status"] != "Completed":
        if request["status"] == "Failed":
            out.message(f"Find out why with: shiftwork explain {request_id}")
        raise typer.Exit(Exit.FAILED)
    if not out.is_json:
        out.message(f"See its result with: shiftwork show {request_id}")


def list_requests(
    status: Annotated[str | None, typer.Option(help="Only those of this status.")] = None,
    type: Annotated[str | None, typer.Option(help="Only those of this type.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    watch: WatchOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """List requests, newest first."""
    out = Output(output)
    wanted = choices.one_of_type("--status", status, "RequestStatus")
    with connection.connect() as client:

        def look(most: int = limit) -> list[RequestSummary]:
            return list(islice(client.list_all(status=wanted, type=type), most))

        if watch:
            Watched(look, _COLUMNS, _request_rows, _request_state).watch(out)
            return
        items = look(limit + 1)
    shown, has_more = items[:limit], len(items) > limit
    if out.is_json:
        out.json({"items": shown, "has_more": has_more})
        return
    write_requests(out, shown)
    if has_more:
        out.message(choices.more("requests", limit, status=wanted, type=type))
    if not shown:
        if lost_at := client.config.env.get("SHIFTWORK_LOST_AT"):
            out.message(f"The stack was started again at {lost_at}: its emulator had lost all.")
        out.message("There are none. Submit one with: shiftwork submit TYPE (or: shiftwork demo)")


def write_requests(out: Output, requests: Sequence[RequestSummary]) -> None:
    """Write a table of requests."""
    out.table(_COLUMNS, _request_rows(requests), "shiftwork show ID")


def _request_rows(requests: Sequence[RequestSummary]) -> list[tuple[object, ...]]:
    return [
        (
            request["request_id"],
            request["type"],
            request["status"],
            request["current_step"],
            request["created_at"][:19].replace("T", " "),
            duration(request["created_at"], request["completed_at"]),
        )
        for request in requests
    ]


def _request_state(request: RequestSummary) -> tuple[str, str]:
    step = f"step {request['current_step']}"
    return request["request_id"], f"{request['type']}  {request['status']}  {step}"


def show(request_id: RequestId, output: OutputOption = Format.TABLE) -> None:
    """Show a request: its steps, its input and its result."""
    out = Output(output)
    with connection.connect() as client:
        request = client.get(references.request_id(client, request_id))
    if out.is_json:
        out.json(request)
        return
    _write_request(out, request)
    out.message(_hint(request))


def _write_request(out: Output, request: Request) -> None:
    error = request["error"]
    out.fields(
        [
            ("request", request["request_id"]),
            ("type", f"{request['type']} version {request['type_version']}"),
            ("status", request["status"]),
            ("error", error and f"{error['type']}: {error['message']}"),
            ("correlation", request["correlation_id"]),
            ("priority", request["priority"] or None),
            ("starts at", request["start_at"]),
            ("created", request["created_at"]),
            ("retried", request["retried_at"]),
            ("completed", request["completed_at"]),
            ("took", duration(request["created_at"], request["completed_at"])),
        ]
    )
    if request["steps"]:
        out.line()
        _write_steps(out, request["steps"])
    if request["params"] or request["extras"]:
        out.line()
        out.fields(
            ((name, _shortened(request[name])) for name in ("params", "extras")), is_cut=True
        )


def _write_steps(out: Output, steps: list[Step]) -> None:
    statuses = [
        status
        for status in ("completed", "inprogress", "new", "retry", "failure", "cancelled")
        if status == "completed" or any(dict(step["jobs"])[status] for step in steps)
    ]
    out.table(
        [
            Column("STEP", 7),
            Column("NAME", shape=Shape.CUT),
            Column("STATUS", 9),
            *(Column(status.upper(), _importance(status)) for status in statuses),
            Column("TOOK", 3),
        ],
        [
            (
                step["index"],
                step["name"],
                step["status"],
                *(dict(step["jobs"])[status] for status in statuses),
                duration(step["started_at"], step["completed_at"]),
            )
            for step in steps
        ],
    )


def _importance(status: str) -> int:
    """Return how important the column is that counts attempts of this status."""
    return {"completed": 8, "failure": 6, "inprogress": 5, "retry": 4}.get(status, 2)


def _shortened(value: Any) -> str:
    text = compact(value) if value else ""
    if len(text) <= _MAX_VALUE_CHARACTERS:
        return text
    return f"{text[:_MAX_VALUE_CHARACTERS]}… ({len(text):,} characters; all with -o json)"


def _hint(request: Request) -> str:
    request_id = request["request_id"]
    match request["status"]:
        case "Failed":
            return (
                f"Find out why with: shiftwork explain {request_id}\n"
                f"Then run what failed again: shiftwork retry {request_id}"
            )
        case "Completed" if any(s["jobs"]["completed"] < s["job_count"] for s in request["steps"]):
            return f"See what failed and was tolerated: shiftwork failures {request_id}"
        case "Completed" | "Cancelled":
            return f"Next: shiftwork jobs {request_id}"
        case _:
            return f"Next: shiftwork watch {request_id}"


def jobs(
    request_id: RequestId,
    step: Annotated[int | None, typer.Option(min=1, help="Only this step, from 1.")] = None,
    status: Annotated[str | None, typer.Option(help="Only attempts of this status.")] = None,
    job: Annotated[
        str | None, typer.Option(help="Only of this entry of a step, `send`, or job, `send[3]`.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    watch: WatchOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """List the attempts at a request's jobs."""
    out = Output(output)
    wanted = choices.one_of_type("--status", status, "AttemptStatus")
    with connection.connect() as client:
        found = references.request_id(client, request_id)

        def look(most: int = limit) -> list[Attempt]:
            attempts = client.jobs(found, step=step, status=wanted)
            if job is not None:
                attempts = (a for a in attempts if job in (a["job"], a["job"].partition("[")[0]))
            return list(islice(attempts, most))

        if watch:
            Watched(look, _JOB_COLUMNS, _job_rows, _job_state).watch(out)
            return
        items = look(limit + 1)
    items, has_more = items[:limit], len(items) > limit
    if out.is_json:
        out.json({"items": items, "has_more": has_more})
        return
    out.table(_JOB_COLUMNS, _job_rows(items), "shiftwork job show ID")
    if has_more:
        command = f"jobs {request_id}"
        out.message(choices.more(command, limit, step=step, status=wanted, job=job))
    if items:
        telling = next((a for a in items if a["status"] == "failure"), items[0])
        out.message(f"See what one logged with: shiftwork job logs {telling['attempt_id']}")
    elif step or wanted or job:
        out.message(f"There are none of these. See all with: shiftwork jobs {found}")
    else:
        out.message(f"There are none yet. See why with: shiftwork explain {found}")


def _job_rows(attempts: Sequence[Attempt]) -> list[tuple[object, ...]]:
    from shiftwork.cli.render.progress import label_of

    return [
        (
            a["attempt_id"],
            label_of(a, None),
            a["status"],
            a["attempt"],
            duration(a["started_at"], a["completed_at"]),
            f"{a['error']['type']}: {a['error']['message']}" if a["error"] else "",
        )
        for a in attempts
    ]


def _job_state(attempt: Attempt) -> tuple[str, str]:
    error = attempt["error"]
    why = f"  {error['type']}: {error['message']}" if error else ""
    return attempt["attempt_id"], f"{attempt['job']}  {attempt['status']}{why}"


def cancel(request_id: RequestId, output: OutputOption = Format.TABLE) -> None:
    """Cancel a request: running jobs may finish, no other job starts."""
    out = Output(output)
    with connection.connect() as client:
        request = client.cancel(references.request_id(client, request_id, to_change=True))
    if out.is_json:
        out.json(request)
    else:
        out.line(f"{request['request_id']} is {request['status']}.")


def explain(request_id: RequestId, output: OutputOption = Format.TABLE) -> None:
    """Explain what a request waits for, or why it failed."""
    out = Output(output)
    with connection.connect() as client:
        explanation = client.explain(references.request_id(client, request_id))
    if out.is_json:
        out.json(explanation)
        return
    out.fields(
        [
            ("request", explanation["request_id"]),
            ("status", explanation["status"]),
            ("why", explanation["summary"]),
            ("wakes at", explanation["wakes_at"]),
        ]
    )
    if explanation["blocked_by"]:
        out.line()
        out.table(
            _BLOCKER_COLUMNS,
            [
                (b["attempt_id"], b["job"], b["status"], b["reason"], b["wakes_at"])
                for b in explanation["blocked_by"]
            ],
            "shiftwork job show ID",
        )
    if explanation["next"]:
        out.message(f"Next: {explanation['next']}")


def show_job(attempt_id: AttemptId, output: OutputOption = Format.TABLE) -> None:
    """Show an attempt: its input, its result or its error, and who did it."""
    out = Output(output)
    with connection.connect() as client:
        attempt = references.find_attempt(client, attempt_id)
    if out.is_json:
        out.json(attempt)
        return
    error = attempt["error"]
    out.fields(
        [
            ("id", attempt["attempt_id"]),
            ("job", attempt["job"]),
            ("type", attempt["type"]),
            ("step", attempt["step"]),
            ("attempt", attempt["attempt"]),
            ("status", attempt["status"]),
            ("error", error and f"{error['type']}: {error['message']}"),
            ("ran in", attempt["worker_id"]),
            ("created", attempt["created_at"]),
            ("started", attempt["started_at"]),
            ("completed", attempt["completed_at"]),
            ("took", duration(attempt["started_at"], attempt["completed_at"])),
            ("wakes at", attempt["wake_at"]),
            ("params", _shortened(attempt["params"])),
            ("item", _shortened(attempt["item"])),
            ("output", _shortened(attempt["output"])),
        ]
    )
    out.message(f"See what it logged with: shiftwork job logs {attempt['attempt_id']}")
