"""`shiftwork override`: keep a workspace on or off for a while."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from shiftwork.cli import connection, references
from shiftwork.cli.commands.workspaces import Name
from shiftwork.cli.render import local_time
from shiftwork.cli.render.output import Format, Output, OutputOption, parse_time
from shiftwork.cli.time_words import EXAMPLES

if TYPE_CHECKING:
    from shiftwork.api.shapes import Desired


class Wish(StrEnum):
    """What the override does."""

    ON = "on"
    OFF = "off"
    CLEAR = "clear"


def override(
    name: Name,
    wish: Annotated[
        Wish, typer.Argument(metavar="on|off|clear", help="Keep it on, or off, or end that.")
    ],
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"When it ends; needed with on and off: {EXAMPLES}."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="When it begins; by default now.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for others to read.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Keep a workspace on or off until a time, whatever its schedule says."""
    out = Output(output)
    if wish is Wish.CLEAR:
        _clear(name, [until, since, reason], out)
        return
    if until is None:
        raise typer.BadParameter(f"is missing: {EXAMPLES}", param_hint="--until")
    end = local_time.typed(until, "--until")
    begin = None if since is None else local_time.typed(since, "--from")
    desired: Desired = "on" if wish is Wish.ON else "off"
    with connection.connect() as client:
        name, workspace = references.on_workspace(
            client,
            name,
            lambda known: client.override_workspace(
                known, desired, end, since=begin, reason=reason
            ),
            to_change=True,
        )
    if out.is_json:
        out.json(workspace)
        return
    zone, now = local_time.zone(), local_time.now()
    kept = workspace["override"]
    end = parse_time(kept["until"]) if kept else end
    start = f"from {local_time.dated(begin, zone, now)} " if begin and begin > now else ""
    out.paragraph(f"{name} is kept {desired} {start}until {local_time.full(end, zone, now)}.")
    out.message(f"End that with: shiftwork override {name} clear")


def _clear(name: str, unused: list[str | None], out: Output) -> None:
    if any(option is not None for option in unused):
        raise typer.BadParameter(
            "goes with on and off only", param_hint="--until, --from, --reason"
        )
    with connection.connect() as client:
        name, workspace = references.on_workspace(
            client, name, client.clear_override, to_change=True
        )
    if out.is_json:
        out.json(workspace)
        return
    out.paragraph(f"{name} has no override: its schedule decides.")
    out.message(f"See what comes next with: shiftwork plan {name}")
