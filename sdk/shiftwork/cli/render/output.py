"""Write answers to stdout and messages to stderr.

Answers are JSON, YAML or ids as `-o` says, else text that fits the terminal, or that is whole where
there is none. Messages go to stderr, so that an answer can always be piped.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftwork.cli.activation import missing_activation
from shiftwork.cli.quiet import IS_QUIET
from shiftwork.cli.render.controls import visible
from shiftwork.cli.render.tables import STYLES, Column, Table, cell_len, wrapped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


#: Ends a value that is cut.
_ALL = " (all with -o json)"
#: What identifies a thing of the API: a lifecycle job's own id comes before its workspace's.
_IDS = ("attempt_id", "request_id", "id", "worker_id", "workspace_id", "name")


class Format(StrEnum):
    """How answers are written: NAME is ids, one a line; WIDE leaves out and cuts nothing."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="How to write the answer.", show_default=True)
]


class Output:
    """Where one command writes."""

    def __init__(self, format: Format = Format.TABLE) -> None:
        self.format = format

    @property
    def is_json(self) -> bool:
        """Whether a machine reads the answer."""
        return self.format not in (Format.TABLE, Format.WIDE)

    @cached_property
    def console(self) -> Console:
        """Stdout for people. Rich honours NO_COLOR, and a stdout that is no terminal."""
        from rich.console import Console

        return Console(highlight=False, soft_wrap=True)

    @cached_property
    def progress(self) -> Console:
        """The console that shows progress: stderr if a machine reads stdout."""
        from rich.console import Console

        return Console(highlight=False, stderr=self.is_json)

    @cached_property
    def width(self) -> int | None:
        """How many columns a line may take; None off a terminal, and for WIDE: nothing is cut.

        FORCE_COLOR makes everything a terminal, as it does for rich.
        """
        is_terminal = bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()
        is_bounded = is_terminal and self.format is not Format.WIDE
        return self.console.width if is_bounded else None

    def message(self, text: str) -> None:
        """Tell people something that is not the answer, unless they want to hear only faults."""
        if not IS_QUIET.get():
            self.fault(text)

    def fault(self, text: str) -> None:
        """Tell people what is wrong."""
        typer.echo(visible(text), err=True)

    def json(self, value: Any) -> None:
        """Write the answer for a machine: as JSON, as YAML, or its ids."""
        match self.format:
            case Format.YAML:
                # Imported here: it takes as long as a whole list.
                import yaml

                text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
                typer.echo(text, nl=False)
            case Format.NAME:
                self._names(value)
            case _:
                typer.echo(json.dumps(value, indent=2, ensure_ascii=False))

    def stream(self, value: Any) -> None:
        """Write one of several answers: JSON on one line, YAML as a document."""
        if self.format is Format.JSON:
            typer.echo(json.dumps(value, ensure_ascii=False))
            return
        if self.format is Format.YAML:
            typer.echo("---")
        self.json(value)

    def _names(self, value: Any) -> None:
        """Write the id of each item of a list, or of the one thing that the answer is."""
        items = value.get("items", [value])
        ids = [next((item[key] for key in _IDS if key in item), None) for item in items]
        for name in ids:
            if name is not None:
                typer.echo(visible(str(name)))
        if None in ids:
            self.message("This answer has no ids. See it with: -o json")

    def line(self, text: str | Text = "") -> None:
        """Write a line of the answer as it is, however long."""
        shown = visible(text) if isinstance(text, str) else text
        if self.width is None:
            typer.echo(shown if isinstance(shown, str) else shown.plain)
        else:
            self.console.print(shown, markup=False)

    def paragraph(self, text: str, mark: str | Text = "") -> None:
        """Write a text that wraps between words on a terminal; `mark` stands before its first line.

        Off a terminal it is one line.
        """
        if self.width is None:
            self.line((mark if isinstance(mark, str) else mark.plain) + text)
            return
        from rich.text import Text

        begin = Text(visible(mark)) if isinstance(mark, str) else mark
        for line in self._hanging(begin, Text(visible(text))):
            self.line(line)

    def progress_line(self, text: str, mark: str = "") -> None:
        """Write a line of progress: to stdout, or to stderr if a machine reads stdout."""
        if self.is_json:
            self.message(mark + text)
        else:
            self.paragraph(text, mark)

    def table(
        self, columns: Sequence[Column], rows: Iterable[Sequence[object]], elsewhere: str = ""
    ) -> None:
        """Write rows, if there are any, under their columns; a message names those without room.

        `elsewhere` is a command that shows them; JSON always does.
        """
        table = Table(columns, rows)
        if not table.rows:
            return
        if self.width is None:
            for plain in table.plain_lines():
                self.line(plain)
            return
        for line in table.lines(self.width):
            self.line(line)
        if left_out := table.layout(self.width).left_out:
            places = f"{elsewhere}, or -o json" if elsewhere else "-o json"
            note = f"No room for {', '.join(left_out)}:"
            is_long = len(note) + len(f" see {places}") > self.width
            gap = "\n" if is_long else " "
            self.message(f"{note}{gap}see {places}")

    def fields(self, pairs: Iterable[tuple[str, object]], *, is_cut: bool = False) -> None:
        """Write a name and its value for each pair that has a value.

        On a terminal they wrap, or are cut to one line each.
        """
        shown = [
            (name, visible(str(value))) for name, value in pairs if value not in (None, "", {}, [])
        ]
        width = max((len(name) for name, _ in shown), default=0)
        if self.width is None:
            for name, value in shown:
                self.line(name.ljust(width + 2) + value)
            return
        from rich.text import Text

        for name, value in shown:
            style = STYLES.get(value.lower(), "") if name in ("status", "state") else ""
            text = Text(value, style)
            if is_cut:
                _cut(text, self.width - width - 2)
            for line in self._hanging(Text(name.ljust(width + 2), "bold"), text):
                self.line(line)

    def suggestions(self, commands: Iterable[tuple[str, str]]) -> None:
        """Write what to type next, each command with what it does: beside it, or below it.

        What puts `shiftwork` on the path comes first, if it is not there.
        """
        activation = missing_activation()
        first = [(activation, "put shiftwork on your path")] if activation else []
        shown = [*first, *commands]
        beside = Table([Column("COMMAND"), Column("WHAT")], shown)
        lines = list(beside.plain_lines(has_header=False))
        self.line("Try next:")
        if self.width is None or all(cell_len(line) <= self.width - 2 for line in lines):
            for line in lines:
                self.line(f"  {line}")
            return
        for command, what in shown:
            self.line(f"  {command}")
            self.paragraph(what, " " * 6)

    def _hanging(self, mark: Text, text: Text) -> Iterator[Text]:
        """Yield a mark and the text beside it, whose lines all begin where the first does."""
        from rich.text import Text

        lines = wrapped(text, max((self.width or 0) - mark.cell_len, 1))
        for number, line in enumerate(lines):
            yield Text.assemble(mark if number == 0 else " " * mark.cell_len, line)


def _cut(text: Text, width: int) -> None:
    """Cut a text to a width, with a note where all of it is."""
    if text.cell_len > width:
        text.truncate(max(width - len(_ALL), 1), overflow="ellipsis")
        text.append(_ALL, "dim")


def parse_time(text: str) -> datetime:
    """Read a time of the API."""
    return datetime.fromisoformat(text)


def duration(start: str | None, end: str | None, now: datetime | None = None) -> str:
    """Return the time from start to end or now, for people; an empty text without a start."""
    if start is None:
        return ""
    until = parse_time(end) if end else now or datetime.now(UTC)
    return seconds((until - parse_time(start)).total_seconds())


def seconds(value_s: float) -> str:
    """Return a duration for people: `0.4 s`, `1 m 05 s`, `2 h 03 m`, `4 d 01 h`."""
    if value_s < 60:
        return f"{max(value_s, 0):.1f} s"
    whole = int(value_s)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02} h"


def compact(value: Any) -> str:
    """Return a JSON value on one line."""
    return json.dumps(value, ensure_ascii=False)
