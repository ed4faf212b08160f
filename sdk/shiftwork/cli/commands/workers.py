"""Commands for workers: list, show, explain, invite, drain, resume, revoke and forget them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from shiftwork.cli import choices, completing, connection, references
from shiftwork.cli.render import local_time, watching
from shiftwork.cli.render.output import Format, Output, OutputOption, seconds
from shiftwork.cli.render.tables import Column, Shape
from shiftwork.cli.render.watching import Watched, WatchOption

if TYPE_CHECKING:
    from shiftwork.api.shapes import WorkerView

Name = Annotated[
    str, typer.Argument(help="The worker's id or its beginning.", autocompletion=completing.workers)
]
#: A worker checks in every 30 s: after so long it has missed one.
_SILENT_S = 65.0
#: Nobody asks why a worker in one of these states gets no more.
_NEEDS_NO_REASON = ("available", "busy", "stopped")
COLUMNS = (
    Column("WORKER"),
    Column("STATUS", 9),
    Column("RUNNING", 8),
    Column("SEEN", 5),
    Column("TAKES", 6, Shape.CUT),
    Column("ERROR", 7, Shape.CUT),
    Column("BUILDS", 4, Shape.IDS),
)


def list_workers(
    status: Annotated[
        str | None, typer.Option(help="idle, available, busy, error, offline or stopped.")
    ] = None,
    active: Annotated[
        bool | None,
        typer.Option("--active/--inactive", help="Only those that get jobs, or do not."),
    ] = None,
    watch: WatchOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """List workers: their status, what they run, and when they were last seen."""
    out = Output(output)
    wanted = choices.one_of_type("--status", status, "WorkerStatus")
    with connection.connect() as client:

        def poll() -> list[WorkerView]:
            return list(client.workers(active=active, status=wanted))

        if watch:
            Watched(poll, COLUMNS, lambda found: rows_of(found, _now_s()), _named_state).watch(out)
            return
        found = poll()
    if out.is_json:
        out.json({"items": found})
        return
    out.table(COLUMNS, rows_of(found, _now_s()), "shiftwork worker show NAME")
    if not found:
        out.message(
            "There are none: no worker has registered or polled lately. "
            "Start one with: shiftwork worker run MODULE"
        )
    elif idle := next((w for w in found if state_of(w, _now_s()) not in _NEEDS_NO_REASON), None):
        out.message(f"Why one gets nothing: shiftwork worker explain {idle['worker_id']}")


def _now_s() -> float:
    return local_time.now().timestamp()


def state_of(worker: WorkerView, now: float) -> str:
    """Return the worker's status in a word: `silent`; `drained` or `leaving` if it gets no jobs."""
    if worker["status"] in ("offline", "stopped", "error"):
        return worker["status"]
    if is_silent(worker, now):
        return "silent"
    if worker["active"]:
        return worker["status"]
    return "drained" if worker["drained"] else "leaving"


def is_silent(worker: WorkerView, now: float) -> bool:
    """Whether it has missed a check-in: it may be dead, which the server does not yet say."""
    return worker["kind"] == "registered" and now - worker["last_seen_at"] > _SILENT_S


def rows_of(workers: Sequence[WorkerView], now: float) -> list[tuple[object, ...]]:
    """Return the rows of a table of workers; `now` is in seconds since 1970."""
    return [
        (
            worker["worker_id"],
            state_of(worker, now),
            f"{len(worker['running_build_ids'])}/{worker['build_limit']}",
            _seen(worker, now),
            ", ".join(sorted({*worker["routes"], *worker["polls"]})),
            worker["error"],
            " ".join(worker["running_build_ids"]),
        )
        for worker in workers
    ]


def _seen(worker: WorkerView, now: float) -> str:
    age = seconds(max(0.0, now - worker["last_seen_at"]))
    return f"silent for {age}" if is_silent(worker, now) else f"{age} ago"


# -- watching ------------------------------------------------------------------------------------


def changes_between(before: Sequence[WorkerView], after: Sequence[WorkerView]) -> list[str]:
    """Return a line for every worker whose state or builds differ between two looks."""
    return watching.changes_between(before, after, _named_state)


def _named_state(worker: WorkerView) -> tuple[str, str]:
    running = f"{len(worker['running_build_ids'])}/{worker['build_limit']}"
    words = [
        state_of(worker, _now_s()),
        running,
        *worker["running_build_ids"],
        worker["error"] or "",
    ]
    return worker["worker_id"], "  ".join(words).rstrip()


# -- one worker ----------------------------------------------------------------------------------


def show(name: Name, output: OutputOption = Format.TABLE) -> None:
    """Show a worker's record."""
    out = Output(output)
    with connection.connect() as client:
        _, worker = references.on_worker(client, name, client.worker)
    if out.is_json:
        out.json(worker)
        return
    now = _now_s()
    out.fields(
        [
            ("worker", worker["worker_id"]),
            ("status", _state_in_full(worker, now)),
            ("error", worker["error"]),
            ("running", f"{len(worker['running_build_ids'])} of {worker['build_limit']}"),
            ("builds", "\n".join(worker["running_build_ids"])),
            ("address", worker["address"]),
            ("routes", ", ".join(worker["routes"])),
            ("polls", ", ".join(worker["polls"])),
            ("record", worker["kind"]),
            ("seen", _ago(worker["last_seen_at"], now)),
            ("checked in", _ago(worker["last_checked_in"], now)),
            ("last start", _ago(worker["last_build_started_at"], now)),
            ("last finish", _ago(worker["last_build_finished_at"], now)),
        ]
    )


def _state_in_full(worker: WorkerView, now: float) -> str:
    state = state_of(worker, now)
    return _seen(worker, now) if state == "silent" else state


def _ago(moment: int | None, now: float) -> str | None:
    return None if moment is None else f"{seconds(max(0.0, now - moment))} ago"


def drain(name: Name, output: OutputOption = Format.TABLE) -> None:
    """Give a worker no more jobs. Those it runs may finish."""
    out = Output(output)
    with connection.connect() as client:
        name, worker = references.on_worker(client, name, client.drain, to_change=True)
    if out.is_json:
        out.json(worker)
        return
    running = len(worker["running_build_ids"])
    out.paragraph(f"{name} is drained; it runs {running} of {worker['build_limit']}.")
    out.message(f"Give it jobs again with: shiftwork worker resume {name}")


def resume(name: Name, output: OutputOption = Format.TABLE) -> None:
    """Give a drained worker jobs again."""
    out = Output(output)
    with connection.connect() as client:
        name, worker = references.on_worker(client, name, client.resume, to_change=True)
    if out.is_json:
        out.json(worker)
    else:
        out.paragraph(f"{name} is {worker['status']}.")


def invite(
    name: Annotated[str, typer.Argument(help="The name under which it will register.")],
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="A job type that it may do; repeat it. None: all."),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Get a token with which a worker registers once, within a minute."""
    out = Output(output)
    with connection.connect() as client:
        invitation = client.new_registration(name, types or ())
    if out.is_json:
        out.json(invitation)
        return
    out.paragraph(invitation["token"])
    out.message(f"Give it to {name} as SHIFTWORK_REGISTRATION within a minute; it works once.")


def revoke(name: Name, output: OutputOption = Format.TABLE) -> None:
    """End all tokens of a worker, within a minute. It can only register again."""
    out = Output(output)
    with connection.connect() as client:
        name, worker = references.on_worker(client, name, client.revoke_worker, to_change=True)
    if out.is_json:
        out.json(worker)
        return
    out.paragraph(f"The tokens of {name} end within a minute.")
    out.message(f"It can register again with: shiftwork worker invite {name}")


def explain(name: Name, output: OutputOption = Format.TABLE) -> None:
    """Explain why a worker gets jobs, or gets none."""
    out = Output(output)
    with connection.connect() as client:
        _, explanation = references.on_worker(client, name, client.explain_worker)
    if out.is_json:
        out.json(explanation)
        return
    out.fields(
        [
            ("worker", explanation["worker_id"]),
            ("status", explanation["status"]),
            ("why", explanation["summary"]),
            ("running", f"{explanation['running']} of {explanation['build_limit']}"),
        ]
    )
    if explanation["queues"]:
        out.line()
        out.table(
            (
                Column("QUEUE"),
                Column("WAITING", 8),
                Column("REASON", shape=Shape.WRAPPED),
                Column("NEXT", 9, Shape.WRAPPED),
            ),
            [(q["queue"], q["waiting"], q["reason"], q["next"]) for q in explanation["queues"]],
        )
    if explanation["next"]:
        out.message(f"Next: {explanation['next']}")


def forget(name: Name, output: OutputOption = Format.TABLE) -> None:
    """Delete the record of a worker that is gone. Its tokens end within a minute."""
    out = Output(output)
    with connection.connect() as client:
        name, _ = references.on_worker(client, name, client.delete_worker, to_change=True)
    if out.is_json:
        out.json({"forgotten": name})
    else:
        out.paragraph(f"{name} is forgotten.")
