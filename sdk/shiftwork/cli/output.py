"""What goes to stdout, what to stderr, and how.

Answers go to stdout: JSON with `-o json`, else tables on a terminal and aligned plain lines off
one. Messages go to stderr, so that an answer can always be piped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


class Format(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSON = "json"


#: Of requests, steps and attempts alike.
STYLES = {
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
}
_MAX_CELL_CHARACTERS = 100
#: Columns of text, which wrap on a narrow terminal; ids and numbers stay whole.
_WRAPPED = {"JOB", "ERROR", "REASON", "DESCRIPTION", "MOST TELLING"}


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

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write rows under their columns; a column named STATUS is coloured."""
        texts = [["-" if cell in (None, "") else str(cell) for cell in row] for row in rows]
        if not self.console.is_terminal:
            self._plain_table(columns, texts)
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold", no_wrap=column not in _WRAPPED)
        for row in texts:
            cells = zip(columns, row, strict=True)
            table.add_row(*(Text(cell, style_of(cell, column)) for column, cell in cells))
        self.console.print(table, soft_wrap=False)

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


def style_of(cell: str, column: str) -> str:
    """Return the style of a table's cell."""
    return STYLES.get(cell.lower(), "") if column == "STATUS" else ""


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
