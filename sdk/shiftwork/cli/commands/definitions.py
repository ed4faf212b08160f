"""Commands for definitions: apply a folder of them, and list the types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftwork.cli import completing, connection
from shiftwork.cli.asking import ask
from shiftwork.cli.render.controls import one_line
from shiftwork.cli.render.output import Format, Output, OutputOption, compact
from shiftwork.cli.render.tables import Column, Shape
from shiftwork.cli.render.watching import Watched, WatchOption
from shiftwork.platform_package import NoPlatform, platform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shiftwork.api.errors import Fault
    from shiftwork.definition_files import Definition

_COLUMNS = (
    Column("KIND", 9),
    Column("NAME"),
    Column("VERSION", 8),
    Column("DESCRIPTION", 7, Shape.CUT),
)


def apply(
    path: Annotated[
        Path | None,
        typer.Argument(exists=True, help="A YAML file, or a folder of them; else the project's."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Apply a folder's definitions of types and workspaces, after showing what changes."""
    from shiftwork import definition_files
    from shiftwork.api.errors import CORRECT
    from shiftwork.cli.commands import apply_plan
    from shiftwork.cli.exit_codes import Exit

    out = Output(output)
    definitions = definition_files.read(path or platform("project").find(Path.cwd()).definitions)
    for doubt in _check(definitions):
        out.message(str(doubt))
    with connection.connect() as client:
        changes = apply_plan.plan(client, definitions)
        if not out.is_json:
            _write_plan(out, changes)
        is_changing = any(change.action != "unchanged" for change in changes)
        if is_changing and not yes:
            ask("Apply?", "apply")
        refused = apply_plan.apply(client, changes)
        apply_plan.look_up_limits(client, changes)
    if out.is_json:
        out.json({"changes": [change.to_json() for change in changes]})
    for change in refused:
        definition = change.definition
        out.fault(f"Refused: {definition.kind} {definition.name} ({definition.place})")
        for fault in change.faults:
            out.fault(f"  {fault} ({definition.place_of(fault.path)})")
    if refused:
        out.fault(f"{CORRECT}; {apply_plan.fate_of_others(changes, refused)}.")
        raise typer.Exit(Exit.REFUSED)
    if is_changing and not out.is_json:
        out.line("Applied.")
        _write_limits(out, changes)


def _check(definitions: list[Definition]) -> list[Fault]:
    """Check them as the API will, where the platform is installed: before anything is planned.

    Return what seems misspelt.

    Raises
    ------
    BadDefinitions
        If they have faults.
    """
    from shiftwork.api.errors import BadDefinitions

    try:
        checking = platform("checking")
    except NoPlatform:
        return []
    if faults := checking.faults_of(definitions):
        raise BadDefinitions(faults)
    doubts: list[Fault] = checking.doubts_about(definitions)
    return doubts


def _write_plan(out: Output, changes: list[Any]) -> None:
    from rich.text import Text

    marks = {"create": ("+", "green"), "update": ("~", "yellow"), "unchanged": ("=", "dim")}
    for change in changes:
        mark, style = marks[change.action]
        definition = change.definition
        line = Text(one_line(f"{mark} {definition.kind} {definition.name}  "), style)
        line.append(_said(change))
        out.line(line)
        for field in change.fields:
            out.paragraph(f"{field.path}: {_side(field.before)} -> {_side(field.after)}", " " * 4)
    counts = {a: sum(change.action == a for change in changes) for a in marks}
    out.line(
        f"{counts['create']} to create, {counts['update']} to update, "
        f"{counts['unchanged']} unchanged"
    )


def _write_limits(out: Output, changes: list[Any]) -> None:
    """Tell what wide requests of the types that were put would meet: a line for each entry."""
    limited = [(change.definition.name, limit) for change in changes for limit in change.limits]
    for name, limit in limited:
        out.message(
            f"Limit: {name}, step {limit['step']}, {limit['job']}: "
            f"{limit['message']}; {limit['change']}"
        )
    if limited:
        out.message(f"See what a request takes: shiftwork plan-request {limited[0][0]} --items N")


def _said(change: Any) -> str:
    """Return the action in words; workspaces have no versions."""
    action = str(change.action)
    if change.definition.kind == "workspace":
        return {"create": "new", "update": "changed"}.get(action, action)
    return f"update of version {change.version}" if action == "update" else action


def _side(value: Any) -> str:
    return "(none)" if value is None else compact(value)


def types(
    name: Annotated[
        str | None, typer.Argument(help="Show this one, in full.", autocompletion=completing.types)
    ] = None,
    watch: WatchOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """List the request types and job types, or show one."""
    from shiftwork.api.calls.definitions import TYPES

    out = Output(output)
    if watch and name is not None:
        raise typer.BadParameter("it watches the list, not one type", param_hint="--watch")
    with connection.connect() as client:

        def look() -> list[Any]:
            return [d for kind in reversed(TYPES) for d in client.definitions(kind)]

        if watch:
            Watched(look, _COLUMNS, _rows, _named_state).watch(out)
            return
        found = look()
    if name is not None:
        found = [d for d in found if d["name"] == name]
        if not found:
            from shiftwork.api.errors import NotFound

            raise NotFound(404, f"There is no type {name!r}.", "List them: shiftwork types")
    if out.is_json:
        out.json({"items": found})
    elif name is not None:
        for definition in found:
            out.json(definition)
    else:
        out.table(_COLUMNS, _rows(found), "shiftwork types NAME")
        if not found:
            out.message("There are none. Define some in files, then: shiftwork apply PATH")


def _rows(found: Sequence[Any]) -> list[Sequence[object]]:
    return [(d["kind"], d["name"], d["version"], d.get("description", "")) for d in found]


def _named_state(definition: Any) -> tuple[str, str]:
    return f"{definition['kind']} {definition['name']}", f"version {definition['version']}"
