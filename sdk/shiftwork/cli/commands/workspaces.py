"""Commands for workspaces: list, show, explain, start, stop and delete them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftwork.cli import completing, connection, references
from shiftwork.cli.commands import lifecycle_jobs
from shiftwork.cli.render import local_time
from shiftwork.cli.render.output import Format, Output, OutputOption, compact, parse_time
from shiftwork.cli.render.tables import Column, Shape
from shiftwork.cli.render.watching import Watched, WatchOption
from shiftwork.cli.routes_as_commands import as_commands
from shiftwork.cli.time_words import EXAMPLES

if TYPE_CHECKING:
    from shiftwork.api.shapes import Operation, Workspace, WorkspaceExplanation

Name = Annotated[
    str,
    typer.Argument(
        help="The workspace's name or its beginning.", autocompletion=completing.workspaces
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what it would call, and do nothing.")
]
COLUMNS = (
    Column("NAME"),
    Column("STATE", 9),
    Column("SINCE", 6),
    Column("NEXT", 8),
    Column("DRIVER", 5),
    Column("NOTE", 7, Shape.CUT),
)
_WHY = Column("REASON", shape=Shape.WRAPPED)


def list_workspaces(watch: WatchOption = False, output: OutputOption = Format.TABLE) -> None:
    """List workspaces: their state, and when each switches next."""
    out = Output(output)
    with connection.connect() as client:

        def look() -> list[Workspace]:
            return list(client.workspaces())

        if watch:
            Watched(look, COLUMNS, _rows_now, _named_state).watch(out)
            return
        found = look()
    if out.is_json:
        out.json({"items": found})
        return
    out.table(COLUMNS, _rows_now(found), "shiftwork workspace show NAME")
    if not found:
        out.message("There are none. Define one in a file, then: shiftwork apply PATH")
    elif failing := next((w for w in found if w["error"]), None):
        out.message(f"What is wrong: shiftwork workspace explain {failing['workspace_id']}")


def _rows_now(workspaces: Sequence[Workspace]) -> list[tuple[object, ...]]:
    return rows_of(workspaces, local_time.zone(), local_time.now())


def _named_state(workspace: Workspace) -> tuple[str, str]:
    return workspace["workspace_id"], f"{workspace['state']}  {workspace['error'] or ''}".rstrip()


def rows_of(
    workspaces: Sequence[Workspace], zone: tzinfo, now: datetime
) -> list[tuple[object, ...]]:
    """Return the rows of a table of workspaces."""
    return [
        (
            workspace["workspace_id"],
            workspace["state"],
            _since(workspace, now),
            _next(workspace, zone, now),
            workspace["definition"]["driver"]["type"],
            _note(workspace, zone, now),
        )
        for workspace in workspaces
    ]


def _since(workspace: Workspace, now: datetime) -> str:
    changed_at = workspace["changed_at"]
    return local_time.span((now - parse_time(changed_at)).total_seconds()) if changed_at else ""


def _next(workspace: Workspace, zone: tzinfo, now: datetime) -> str:
    """Return the next start or stop: `stop 20:00, in 8h`."""
    jobs = [(parse_time(job["at"]), op) for op, job in workspace["pending"].items()]
    if not jobs:
        return ""
    at, operation = min(jobs)
    if at <= now:
        return f"{operation} now"
    distance = local_time.span((at - now).total_seconds())
    return f"{operation} {local_time.clock(at, zone, now)}, in {distance}"


def _note(workspace: Workspace, zone: tzinfo, now: datetime) -> str:
    """Return what needs attention: failures, and overrides of the schedule."""
    parts = []
    if workspace["failures"]:
        parts.append(f"{workspace['failures']} failed")
    if workspace["blocked_until"] and parse_time(workspace["blocked_until"]) > now:
        until = local_time.clock(parse_time(workspace["blocked_until"]), zone, now)
        parts.append(f"waits until {until}")
    if workspace["error"]:
        parts.append(workspace["error"])
    override = workspace["override"]
    if override and parse_time(override["until"]) > now:
        since, until_ = parse_time(override["since"]), parse_time(override["until"])
        begin = f"from {local_time.clock(since, zone, now)} " if since > now else ""
        reason = f" ({override['reason']})" if override["reason"] else ""
        kept = f"kept {override['desired']}"
        parts.append(f"{kept} {begin}until {local_time.clock(until_, zone, now)}{reason}")
    return ", ".join(parts)


# -- one workspace -------------------------------------------------------------------------------


def show(name: Name, output: OutputOption = Format.TABLE) -> None:
    """Show a workspace: its state, its next start and stop, and its definition."""
    out = Output(output)
    with connection.connect() as client:
        name, workspace = references.on_workspace(client, name, client.workspace)
    if out.is_json:
        out.json(workspace)
        return
    definition, override = workspace["definition"], workspace["override"]
    schedule = definition.get("schedule") or {}
    windows = [
        "  ".join(f"{key} {value}" for key, value in window.items())
        for window in schedule.get("windows") or []
    ]
    rest = {key: value for key, value in schedule.items() if key != "windows"}
    out.fields(
        [
            ("workspace", workspace["workspace_id"]),
            ("state", workspace["state"]),
            ("since", _at(workspace["changed_at"])),
            ("detail", workspace["detail"]),
            ("started by", workspace["started_by"]),
            ("error", workspace["error"]),
            ("failures", workspace["failures"] or None),
            ("waits until", _at(workspace["blocked_until"])),
            *((f"next {op}", _at(job["at"])) for op, job in workspace["pending"].items()),
            ("deadline", _at(workspace["deadline"])),
            ("at most", _at(workspace["max_deadline"])),
            ("override", override and f"kept {override['desired']}: {override['reason'] or '-'}"),
            ("from", override and _at(override["since"])),
            ("until", override and _at(override["until"])),
            ("looked at", _at(workspace["looked_at"])),
            ("driver", compact(definition["driver"])),
            *(("window", window) for window in windows),
            ("schedule", compact(rest) if rest else None),
            *((key, compact(v)) for key, v in definition.items() if key not in _SHOWN),
        ]
    )
    out.message(f"Next: shiftwork plan {name}, or shiftwork workspace explain {name}")


#: Fields that `show` has lines of its own for.
_SHOWN = {"driver", "schedule"}


def _at(moment: str | None) -> str | None:
    if moment is None:
        return None
    return local_time.full(parse_time(moment), local_time.zone(), local_time.now())


def start(
    name: Name,
    dry_run: DryRunOption = False,
    follow: lifecycle_jobs.FollowOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Start a workspace now, and end an override that keeps it off."""
    _switch(name, "start", dry_run, follow, Output(output))


def stop(
    name: Name,
    dry_run: DryRunOption = False,
    follow: lifecycle_jobs.FollowOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Stop a workspace now, and end an override that keeps it on."""
    _switch(name, "stop", dry_run, follow, Output(output))


def _switch(name: str, operation: Operation, dry_run: bool, follow: bool, out: Output) -> None:
    if dry_run and follow:
        raise typer.BadParameter("there is nothing to follow", param_hint="--dry-run")
    with connection.connect() as client:
        if dry_run:
            name, found = references.on_workspace(
                client, name, lambda known: client.dry_run_workspace(known, operation)
            )
            if out.is_json:
                out.json(found)
                return
            detail = f" ({found['detail']})" if found["detail"] else ""
            out.paragraph(f"{name} is {found['state']}{detail}. A {operation} would call:")
            for call in found["calls"] or ["nothing"]:
                out.paragraph(call, "  ")
            return
        switch = client.start_workspace if operation == "start" else client.stop_workspace
        name, job = references.on_workspace(client, name, switch, to_change=True)
        if follow:
            lifecycle_jobs.follow_job(client, job["id"], out)
            return
    if out.is_json:
        out.json(job)
        return
    out.paragraph(f"The {operation} of {name} is lifecycle job {job['id']}, {job['state']}.")
    out.message(f"Follow it with: shiftwork lifecycle-job logs {job['id']} --follow")


def active(name: Name, output: OutputOption = Format.TABLE) -> None:
    """Report that a workspace is in use, so that it stops later."""
    out = Output(output)
    with connection.connect() as client:
        name, workspace = references.on_workspace(
            client, name, client.report_activity, to_change=True
        )
    if out.is_json:
        out.json(workspace)
    elif workspace["deadline"]:
        out.paragraph(
            f"{name} is {workspace['state']}; its time is up {_at(workspace['deadline'])}."
        )
    else:
        out.paragraph(f"{name} is {workspace['state']}, without a deadline that could move.")


def deadline(
    name: Name,
    when: Annotated[str, typer.Argument(metavar="TIME", help=f"Such as {EXAMPLES}.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Set when a running workspace stops; its schedule may stop it sooner."""
    out = Output(output)
    moment = local_time.typed(when, "TIME")
    with connection.connect() as client:
        name, workspace = references.on_workspace(
            client,
            name,
            lambda known: client.set_workspace_deadline(known, moment),
            to_change=True,
        )
    if out.is_json:
        out.json(workspace)
    else:
        out.paragraph(
            f"{name} stops {_at(workspace['deadline'])}, or sooner if its schedule says so."
        )


def delete(name: Name, output: OutputOption = Format.TABLE) -> None:
    """Delete a workspace's record. Its machines stay as they are, and nothing switches them."""
    out = Output(output)
    with connection.connect() as client:
        name, _ = references.on_workspace(client, name, client.delete_workspace, to_change=True)
    if out.is_json:
        out.json({"deleted": name})
    else:
        out.paragraph(f"{name} is forgotten; what it stands for stays as it is.")


# -- explaining ----------------------------------------------------------------------------------


def explain(name: Name, output: OutputOption = Format.TABLE) -> None:
    """Explain a workspace's state: its cause, its next change, and what blocks that."""
    out = Output(output)
    with connection.connect() as client:
        name, explanation = references.on_workspace(client, name, client.explain_workspace)
    if out.is_json:
        out.json(explanation)
        return
    _write_explanation(out, explanation)
    failed = next((job for job in explanation["latest_jobs"] if job["error"]), None)
    if failed:
        out.message(f"See what failed with: shiftwork lifecycle-job logs {failed['id']}")
    else:
        out.message(f"See the days to come with: shiftwork plan {name}")


def _write_explanation(out: Output, explanation: WorkspaceExplanation) -> None:
    zone, now = local_time.zone(), local_time.now()

    def at(moment: str) -> str:
        return local_time.dated(parse_time(moment), zone, now)

    def told(text: str) -> str:
        return as_commands(local_time.localised(text, zone, now))

    out.fields([("workspace", explanation["workspace_id"]), ("state", explanation["state"])])
    out.line()
    out.paragraph(told(explanation["summary"]))
    if explanation["next"]:
        out.line()
        rows: list[tuple[Any, ...]] = [
            (n["operation"], local_time.full(parse_time(n["at"]), zone, now), told(n["reason"]))
            for n in sorted(explanation["next"], key=lambda n: n["at"])
        ]
        out.table((Column("DOES"), Column("NEXT AT"), _WHY), rows)
    if explanation["blocked_by"]:
        out.line()
        out.line("In the way:")
        for obstacle in explanation["blocked_by"]:
            out.paragraph(told(obstacle), "- ")
    if explanation["left_out"]:
        out.line()
        rows = [(at(e["at"]), told(e["reason"])) for e in explanation["left_out"]]
        out.table((Column("LEFT OUT"), _WHY), rows)
    if explanation["latest_jobs"]:
        out.line()
        rows = [
            (
                at(job["deadline"]),
                job["operation"],
                job["state"],
                told(job["error"] or job["reason"]),
            )
            for job in explanation["latest_jobs"]
        ]
        out.table((Column("DONE AT"), Column("DOES", 8), Column("STATE", 9), _WHY), rows)
