"""`shiftwork plan`: show when a workspace's schedule will switch it, day by day."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from shiftwork.cli import connection, references
from shiftwork.cli.commands.workspaces import Name
from shiftwork.cli.render import local_time
from shiftwork.cli.render.output import Format, Output, OutputOption, parse_time
from shiftwork.cli.render.tables import Column, Shape
from shiftwork.cli.time_words import day_start

if TYPE_CHECKING:
    from shiftwork.api.shapes import PlanEntry, Workspace

#: The API plans no further ahead.
_MAX_DAYS = 90
_CRON_ZONE = re.compile(r"CRON_TZ=(\S+)")


def plan(
    name: Name,
    days: Annotated[int, typer.Option(min=1, max=_MAX_DAYS, help="How many days.")] = 7,
    first: Annotated[
        str,
        typer.Option(
            "--from", metavar="DAY", help="today, week (this week's Monday), or the day of a TIME."
        ),
    ] = "today",
    time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE", help="The zone of the times; by default its first window's, else yours."
        ),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show when a workspace will be on and off, day by day, and why."""
    out = Output(output)
    now = local_time.now()
    asked = None if time_zone is None else _named(time_zone)
    with connection.connect() as client:
        name, workspace = references.on_workspace(client, name, client.workspace)
        zone = asked or _zone_of(workspace) or local_time.zone()
        begin = _first_day(first, days, now, zone)
        until = day_start(begin + timedelta(days=days), zone)
        ahead = math.ceil((until - now) / timedelta(days=1))
        found = client.workspace_plan(name, days=min(ahead, _MAX_DAYS))
    if out.is_json:
        out.json(found)
        return
    _write(out, workspace, found["items"], (begin, days), now, zone)


def _named(name: str) -> tzinfo:
    """Return the zone of a name.

    Raises
    ------
    typer.BadParameter
        If there is none of that name.
    """
    from zoneinfo import available_timezones

    zone = local_time.zone_named(name)
    if zone is None:
        near = get_close_matches(name, available_timezones(), n=1)
        hint = f"did you mean {near[0]}?" if near else "write one such as Europe/Berlin"
        raise typer.BadParameter(
            f"there is no time zone {name!r}; {hint}", param_hint="--time-zone"
        )
    return zone


def _zone_of(workspace: Workspace) -> tzinfo | None:
    """Return the zone that the workspace's first window names."""
    windows = (workspace["definition"].get("schedule") or {}).get("windows") or [{}]
    crons = f"{windows[0].get('start', '')} {windows[0].get('stop', '')}"
    match = _CRON_ZONE.search(crons)
    return local_time.zone_named(match[1]) if match else None


def _first_day(text: str, days: int, now: datetime, zone: tzinfo) -> date:
    """Return the first of the `days` days to show.

    Raises
    ------
    typer.BadParameter
        If they lie in the past, or beyond what the API plans.
    """
    today = now.astimezone(zone).date()
    if text == "today":
        first = today
    elif text == "week":
        first = today - timedelta(days=today.weekday())
    else:
        first = local_time.typed(text, "--from", zone).astimezone(zone).date()
    if not 1 <= (first - today).days + days <= _MAX_DAYS:
        why = f"{first} and {days} days from then on are not within the {_MAX_DAYS} days to come"
        raise typer.BadParameter(why, param_hint="--from")
    return first


def _write(
    out: Output,
    workspace: Workspace,
    plan: Sequence[PlanEntry],
    days: tuple[date, int],
    now: datetime,
    zone: tzinfo,
) -> None:
    """Write the rows of the days, and below them each start and stop, also those left out."""
    from shiftwork.cli.render import timetable

    changed_at = workspace["changed_at"]
    since = f" since {local_time.dated(parse_time(changed_at), zone, now)}" if changed_at else ""
    out.paragraph(f"{workspace['workspace_id']} is {workspace['state']}{since}. Times in {zone}.")
    out.line()
    has_all = timetable.encodes(timetable.Glyphs(), out.console.encoding)
    glyphs = timetable.Glyphs() if has_all else timetable.ASCII
    rows = timetable.days_of(*days, zone, timetable.slot_minutes_for(out.width))
    # The plan before the first day decides in which state that day begins.
    for line in timetable.draw(workspace, plan, rows, now, zone, glyphs):
        out.line(line)
    out.line()
    shown = [t for t in plan if rows[0].start <= parse_time(t["at"]) < rows[-1].end]
    if shown:
        out.table(
            (Column("AT"), Column("SWITCH"), Column("REASON", shape=Shape.WRAPPED)),
            [
                (
                    local_time.dated(parse_time(transition["at"]), zone, now),
                    "left out" if transition["is_left_out"] else transition["operation"],
                    local_time.localised(transition["reason"], zone, now),
                )
                for transition in shown
            ],
        )
    else:
        out.message("In these days the schedule switches nothing.")
    name = workspace["workspace_id"]
    out.message(f"Change that for a while with: shiftwork override {name} on --until TIME")
