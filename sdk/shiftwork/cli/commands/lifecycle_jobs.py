"""Commands for lifecycle jobs: list, show, follow and cancel starts and stops of workspaces."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from shiftwork.cli import choices, completing, connection, references
from shiftwork.cli.render import local_time
from shiftwork.cli.render.output import Format, Output, OutputOption, duration, parse_time
from shiftwork.cli.render.tables import Column, Shape
from shiftwork.cli.render.watching import Watched, WatchOption

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.shapes import LifecycleJob, LifecycleLog

JobId = Annotated[
    str,
    typer.Argument(
        help="The job's id or its beginning; `last` is the newest.",
        autocompletion=completing.lifecycle_jobs,
    ),
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Show its log until it ends.")]
_COLUMNS = (
    Column("JOB ID"),
    Column("STATE", 8),
    Column("DUE", 7),
    Column("WHAT", 9, Shape.CUT),
)
_ENDED = frozenset({"completed", "failed", "cancelled"})
#: How long to wait between two polls: a start or stop takes a minute or more.
_POLL_S = 1.0
_STATES = ("pending", "running", "completed", "failed", "cancelled")
_LEVEL_STYLES = {"warn": "yellow", "error": "bold red", "debug": "dim", "trace": "dim"}


def list_jobs(
    workspace: Annotated[str | None, typer.Option(help="Only those of this workspace.")] = None,
    state: Annotated[
        str | None, typer.Option(help="pending, running, completed, failed or cancelled.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    watch: WatchOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """List the starts and stops of workspaces, newest first."""
    out = Output(output)
    wanted = choices.one_of("--state", state, _STATES)
    with connection.connect() as client:

        def look(most: int = limit) -> list[LifecycleJob]:
            return list(islice(client.lifecycle_jobs(workspace=workspace, state=wanted), most))

        if watch:
            Watched(look, _COLUMNS, _rows, _named_state).watch(out)
            return
        items = look(limit + 1)
    shown, has_more = items[:limit], len(items) > limit
    if out.is_json:
        out.json({"items": shown, "has_more": has_more})
        return
    out.table(_COLUMNS, _rows(shown), "shiftwork lifecycle-job show ID")
    if has_more:
        out.message(choices.more("lifecycle-jobs", limit, workspace=workspace, state=wanted))
    if not shown:
        out.message("There are none. See the workspaces with: shiftwork workspaces")


def _rows(jobs: Sequence[LifecycleJob]) -> list[tuple[object, ...]]:
    return list(map(_row, jobs))


def _named_state(job: LifecycleJob) -> tuple[str, str]:
    why = job["error"] or job["reason"] or ""
    return job["id"], f"{job['operation']} {job['workspace_id']}  {job['state']}  {why}".rstrip()


def _row(job: LifecycleJob) -> tuple[object, ...]:
    why = job["error"] or job["reason"]
    due = local_time.clock(parse_time(job["deadline"]), local_time.zone(), local_time.now())
    what = f"{job['operation']} {job['workspace_id']}"
    return job["id"], job["state"], due, f"{what}: {why}" if why else what


def show(job_id: JobId, output: OutputOption = Format.TABLE) -> None:
    """Show a start or stop: its cause and its progress."""
    out = Output(output)
    with connection.connect() as client:
        job = client.lifecycle_job(references.lifecycle_job_id(client, job_id))
    if out.is_json:
        out.json(job)
        return
    out.fields(
        [
            ("job", job["id"]),
            ("does", f"{job['operation']} {job['workspace_id']}"),
            ("state", job["state"]),
            ("error", job["error"]),
            ("cause", job["cause"]),
            ("reason", job["reason"]),
            ("due", _at(job["deadline"])),
            ("tries", job["attempt"] or None),
            ("started", _at(job["started_at"])),
            ("next look", _at(job["due_at"]) if job["state"] == "running" else None),
            ("completed", _at(job["completed_at"])),
            ("cancelled", _at(job["cancelled_at"])),
            ("took", duration(job["started_at"], job["completed_at"], local_time.now())),
        ]
    )
    out.message(f"See what was done with: shiftwork lifecycle-job logs {job['id']}")


def _at(moment: str | None) -> str | None:
    if moment is None:
        return None
    return local_time.full(parse_time(moment), local_time.zone(), local_time.now())


def logs(
    job_id: JobId,
    follow: FollowOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show the log of a start or stop."""
    out = Output(output)
    with connection.connect() as client:
        found = references.lifecycle_job_id(client, job_id)
        if follow:
            follow_job(client, found, out)
            return
        lines = list(client.lifecycle_job_logs(found))
    if out.is_json:
        out.json({"items": lines})
        return
    for line in lines:
        _write_line(out, line)
    if not lines:
        out.message("Nothing was done for it yet.")


def cancel(job_id: JobId, output: OutputOption = Format.TABLE) -> None:
    """Cancel one start or stop; later ones still happen."""
    out = Output(output)
    with connection.connect() as client:
        job = client.cancel_lifecycle_job(
            references.lifecycle_job_id(client, job_id, to_change=True)
        )
    if out.is_json:
        out.json(job)
        return
    out.paragraph(f"{job['id']} is {job['state']}: this {job['operation']} is left out.")
    out.message(f"See what comes next with: shiftwork plan {job['workspace_id']}")


# -- following -----------------------------------------------------------------------------------


def follow_job(client: ShiftworkClient, job_id: str, out: Output) -> None:
    """Show a job's log until it ends; the exit code says whether it completed.

    Raises
    ------
    typer.Exit
        If it did not complete, or on Ctrl-C; the job goes on.
    """
    from shiftwork.cli.exit_codes import Exit

    try:
        for job, lines in following(client, job_id, time.sleep):  # noqa: B007  (the last is used below)
            for line in lines:
                _write_line(out, line, is_progress=True)
    except KeyboardInterrupt:
        out.message(
            "\nThe job goes on. Follow it again with: "
            f"shiftwork lifecycle-job logs {job_id} --follow\n"
            f"Stop it with: shiftwork lifecycle-job cancel {job_id}"
        )
        raise typer.Exit(Exit.INTERRUPTED) from None
    if out.is_json:
        out.json(job)
    else:
        took = duration(job["started_at"] or job["created_at"], job["completed_at"])
        end = f"{job['operation']} of {job['workspace_id']}: {job['state']}"
        out.paragraph(f"{end} in {took}" if job["completed_at"] else end)
    if job["state"] != "completed":
        out.message(f"Find out why with: shiftwork workspace explain {job['workspace_id']}")
        raise typer.Exit(Exit.FAILED)


def following(
    client: ShiftworkClient, job_id: str, sleep: Callable[[float], None]
) -> Iterator[tuple[LifecycleJob, list[LifecycleLog]]]:
    """Yield the job after every poll, with the new lines of its log, until it has ended.

    The job is read before its log, so that the log of an ended job is complete.
    """
    seen: set[str] = set()
    while True:
        job = client.lifecycle_job(job_id)
        lines = list(client.lifecycle_job_logs(job_id))
        yield job, [line for line in lines if line["id"] not in seen]
        if job["state"] in _ENDED:
            return
        seen = {line["id"] for line in lines}
        sleep(_POLL_S)


def _write_line(out: Output, line: LifecycleLog, *, is_progress: bool = False) -> None:
    """Write a line of the log: to stderr if it is progress and the answer is JSON."""
    from rich.text import Text

    at = local_time.stamp(parse_time(line["created_at"]), local_time.zone())
    level = line["level"]
    if is_progress and out.is_json:
        out.message(f"{at}  {level:<5}  {line['output']}")
        return
    style = _LEVEL_STYLES.get(level, "")
    mark = Text.assemble((at, "dim"), "  ", (f"{level:<5}", style), "  ")
    out.paragraph(line["output"], mark)
