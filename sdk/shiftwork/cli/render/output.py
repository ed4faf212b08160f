"""What goes to stdout, what to stderr, and how.

Answers go to stdout: JSON with `-o json`, else tables on a terminal and aligned plain lines off
one. Messages go to stderr, so that an answer can always be piped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


class Format(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="How to write the answer.", show_default=True)
]

#: Of requests, steps, attempts, workers, workspaces and lifecycle jobs alike.
STYLES = {
    "idle": "dim",
    "available": "green",
    "busy": "cyan",
    "error": "bold red",
    "offline": "red",
    "drained": "yellow",
    "leaving": "yellow",
    "completed": "green",
    "inprogress": "cyan",
    "running": "cyan",
    "failed": "bold red",
    "failure": "bold red",
    "retry": "yellow",
    "cancelled": "magenta",
    "new": "dim",
    "pending": "dim",
    "queuing": "dim",
    "stopped": "dim",
    "starting": "cyan",
    "stopping": "yellow",
    "mixed": "yellow",
    "unknown": "yellow",
}
_MAX_CELL_CHARACTERS = 100
#: Columns of text, which wrap on a narrow terminal; ids and numbers stay whole.
_WRAPPED = {"JOB", "ERROR", "REASON", "DESCRIPTION", "MOST TELLING", "TAKES", "BUILDS", "NEXT"}
_WRAPPED |= {"WHAT", "NOTE"}
#: Columns whose cells have the colour of what they say.
_COLOURED = {"STATUS", "STATE"}


@dataclass(frozen=True)
class Output:
    """Where one command writes."""

    format: Format = Format.TABLE

    @property
    def is_json(self) -> bool:
        """Whether a machine reads it."""
        return self.format is Format.JSON

    @cached_property
    def console(self) -> Console:
        """Stdout for people. NO_COLOR is honoured by rich, as is a stdout that is no terminal."""
        from rich.console import Console

        return Console(highlight=False, soft_wrap=True)

    @cached_property
    def progress(self) -> Console:
        """Where progress is shown: on stderr if stdout is for a machine."""
        from rich.console import Console

        return Console(highlight=False, stderr=self.is_json)

    def message(self, text: str) -> None:
        """Tell people something that is not the answer."""
        typer.echo(text, err=True)

    def json(self, value: Any) -> None:
        """Write the answer as JSON."""
        typer.echo(json.dumps(value, indent=2, ensure_ascii=False))

    def line(self, text: str | Text = "") -> None:
        """Write a line of the answer."""
        self.console.print(text, markup=False)

    def paragraph(self, text: str, mark: str = "") -> None:
        """Write a text that wraps between words on a terminal; `mark` stands before its first line.

        Off a terminal it is one line.
        """
        if not self.console.is_terminal:
            self.line(mark + text)
            return
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid()
        grid.add_row(Text(mark), Text(text))
        self.console.print(grid, soft_wrap=False)

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        widths: Mapping[str, int] | None = None,
    ) -> None:
        """Write rows under their columns; a column named STATUS or STATE is coloured.

        `widths` are of columns that are no wider on a terminal.
        """
        if self.console.is_terminal:
            self.console.print(drawn_table(columns, rows, widths), soft_wrap=False)
        else:
            self._plain_table(columns, _texts_of(rows))

    def _plain_table(self, columns: Sequence[str], rows: list[list[str]]) -> None:
        lines = [list(columns), *([_one_line(cell) for cell in row] for row in rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        for line in lines:
            cells = zip(line, widths, strict=True)
            self.line("  ".join(cell.ljust(width) for cell, width in cells).rstrip())

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Write one `name  value` line for each pair that has a value."""
        from rich.text import Text

        shown = [(name, str(value)) for name, value in pairs if value not in (None, "", {}, [])]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.line(
                Text.assemble(
                    (name.ljust(width + 2), "bold"), (value, style_of(value, name.upper()))
                )
            )


def drawn_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    widths: Mapping[str, int] | None = None,
) -> Table:
    """Return a table for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        width = (widths or {}).get(column)
        is_whole = width is None and column not in _WRAPPED
        table.add_column(column, overflow="fold", no_wrap=is_whole, max_width=width)
    for row in _texts_of(rows):
        cells = zip(columns, row, strict=True)
        table.add_row(*(Text(cell, style_of(cell, column)) for column, cell in cells))
    return table


def _texts_of(rows: Iterable[Sequence[object]]) -> list[list[str]]:
    return [["-" if cell in (None, "") else str(cell) for cell in row] for row in rows]


def style_of(cell: str, column: str) -> str:
    """Return the style of a table's cell."""
    return STYLES.get(cell.lower(), "") if column in _COLOURED else ""


def _one_line(text: str) -> str:
    joined = " ".join(text.split())
    if len(joined) <= _MAX_CELL_CHARACTERS:
        return joined
    return joined[: _MAX_CELL_CHARACTERS - 1] + "…"


def parse_time(text: str) -> datetime:
    """Read a time of the API."""
    return datetime.fromisoformat(text)


def duration(start: str | None, end: str | None, now: datetime | None = None) -> str:
    """Return the time from start to end, or until now, for people; nothing if it has no start."""
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
