"""Draw tables at any width: ids stay whole, the least important columns go first.

Pure: the caller says how wide a table may be. `plain_lines` cuts and leaves out nothing, and needs
no rich.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from shiftwork.cli.render.controls import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

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
#: Columns whose cells are coloured by STYLES.
_COLOURED = {"STATUS", "STATE"}
_GAP = "  "
#: A word with the space around it; only the first of a line has space before it.
_WORD = r"\s*\S+\s*"
#: A text that wraps reads well from this width on.
_LEAST_WRAPPED = 20
#: Ids within a text are no longer than this; their column has room for them.
_LONGEST_ID = 50

#: The importance of a column that is never left out.
ESSENTIAL = 100


class Shape(Enum):
    """How a column's cells fit where there is little room."""

    #: Ids, numbers, times: never cut, never wrapped.
    WHOLE = "whole"
    #: Ids, separated by spaces: as many as fit in full, and the number of the others.
    IDS = "ids"
    #: Text: one line that ends in an ellipsis.
    CUT = "cut"
    #: Paths: one line that begins with an ellipsis, for their ends differ.
    END = "end"
    #: Text that no other command shows: it continues below, broken between words.
    WRAPPED = "wrapped"


class Column(NamedTuple):
    """A column. If not all fit, the most important ones get their room first.

    Attributes
    ----------
    least
        The width below which a text that is cut says nothing.
    is_told
        Whether a text that has no room in its row stands below it, on a line of its own.
    """

    title: str
    importance: int = ESSENTIAL
    shape: Shape = Shape.WHOLE
    least: int = 9
    is_told: bool = False


class Layout(NamedTuple):
    """The columns that are shown, by number and width.

    Attributes
    ----------
    left_out
        The titles of those that have no room.
    below
        The numbers of those whose texts stand below their rows.
    """

    widths: dict[int, int]
    left_out: list[str]
    below: list[int]


class Table:
    """Rows under their columns, for any width. Rich prints it, in a live display as well."""

    def __init__(self, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
        self.columns = columns
        self.rows = [[_text_of(cell) for cell in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines that fit the console."""
        for line in self.lines(options.max_width):
            line.no_wrap, line.overflow = True, "ignore"
            yield line

    def plain_lines(self, *, has_header: bool = True) -> Iterator[str]:
        """Yield the lines of the header and the rows, with every cell whole."""
        widths = [self._natural(number) for number in range(len(self.columns))]
        header = [column.title for column in self.columns]
        for row in ([header] if has_header else []) + self.rows:
            padded = (
                cell + " " * (width - cell_len(cell))
                for cell, width in zip(row, widths, strict=True)
            )
            yield _GAP.join(padded).rstrip()

    def lines(self, width: int, *, has_header: bool = True) -> Iterator[Text]:
        """Yield the lines of the header and the rows, within a width.

        A line exceeds the width only if the essential columns do, or one word of theirs.
        """
        layout = self.layout(width)
        widths = layout.widths
        header = [column.title for column in self.columns]
        for row in ([header] if has_header else []) + self.rows:
            is_header = row is header
            cells = [
                self._cell_lines(number, row[number], size, is_header)
                for number, size in widths.items()
            ]
            yield from _beside(cells, list(widths.values()))
            for number in layout.below:
                yield from self._line_below(row[number], width, is_header)

    def layout(self, width: int) -> Layout:
        """Return which columns fit a width, and how wide each of them is."""
        natural = [self._natural(number) for number in range(len(self.columns))]
        least = [self._least(number, natural[number]) for number in range(len(self.columns))]
        kept: list[int] = []
        for number in sorted(range(len(self.columns)), key=self._rank):
            is_essential = self.columns[number].importance == ESSENTIAL
            if is_essential or _total([least[n] for n in [*kept, number]]) <= width:
                kept.append(number)
        widths = {n: least[n] for n in sorted(kept)}
        _widen(widths, natural, width - _total(list(widths.values())))
        hidden = [n for n in range(len(self.columns)) if n not in kept and not self._is_empty(n)]
        below = [n for n in hidden if self.columns[n].is_told]
        return Layout(widths, [self.columns[n].title for n in hidden if n not in below], below)

    def _rank(self, number: int) -> tuple[bool, int]:
        """Order columns by importance; empty ones come last."""
        column = self.columns[number]
        is_spared = self._is_empty(number) and column.importance < ESSENTIAL
        return is_spared, -column.importance

    def _is_empty(self, number: int) -> bool:
        return all(row[number] == "-" for row in self.rows)

    def _natural(self, number: int) -> int:
        title = self.columns[number].title
        return max([cell_len(title), *(cell_len(row[number]) for row in self.rows)])

    def _least(self, number: int, natural: int) -> int:
        """Return the width below which a column is left out."""
        column = self.columns[number]
        match column.shape:
            case Shape.CUT | Shape.END:
                return min(natural, max(len(column.title), column.least))
            case Shape.WRAPPED:
                words = (cell_len(word) for row in self.rows for word in row[number].split())
                longest = min(max(words, default=0), _LONGEST_ID)
                return min(natural, max(len(column.title), _LEAST_WRAPPED, longest))
            case Shape.IDS:
                ids = (cell_len(word) for row in self.rows for word in row[number].split())
                more = " +" + str(max((len(row[number].split()) for row in self.rows), default=0))
                return min(natural, max([len(column.title), *ids]) + len(more))
            case Shape.WHOLE:
                return natural

    @staticmethod
    def _line_below(text: str, width: int, is_header: bool) -> Iterator[Text]:
        """Yield a text as a line of its own; nothing if the row has none."""
        from rich.text import Text

        if text == "-":
            return
        line = Text(_GAP + text, "bold" if is_header else "")
        line.truncate(width, overflow="ellipsis")
        yield line

    def _cell_lines(self, number: int, text: str, width: int, is_header: bool) -> list[Text]:
        from rich.text import Text

        column = self.columns[number]
        if is_header:
            return [Text(text, "bold")]
        style = STYLES.get(text.lower(), "") if column.title in _COLOURED else ""
        match column.shape:
            case Shape.CUT:
                cell = Text(text, style)
                cell.truncate(width, overflow="ellipsis")
                return [cell]
            case Shape.END:
                return [Text(_end_within(text, width), style)]
            case Shape.WRAPPED:
                return wrapped(Text(text, style), width)
            case Shape.IDS:
                return [Text(_ids_within(text, width), style)]
            case Shape.WHOLE:
                return [Text(text, style)]


def cell_len(text: str) -> int:
    """Return how many columns a text takes; rich knows it of what is not ASCII."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrapped(text: Text, width: int) -> list[Text]:
    """Return a text's lines, broken between words; a word wider than a line is not broken."""
    return [line for part in text.split(allow_blank=True) for line in _broken(part, width)]


def _broken(text: Text, width: int) -> Iterator[Text]:
    breaks, column = [], 0
    for word in re.finditer(_WORD, text.plain):
        if column and column + cell_len(word[0].rstrip()) > width:
            breaks.append(word.start())
            column = 0
        column += cell_len(word[0])
    for line in text.divide(breaks):
        line.rstrip()
        yield line


def _text_of(cell: object) -> str:
    return "-" if cell in (None, "") else " ".join(visible(str(cell)).split())


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _widen(widths: dict[int, int], natural: Sequence[int], room: int) -> None:
    """Share the room among the columns that need more."""
    growing = sorted((n for n in widths if widths[n] < natural[n]), key=lambda n: natural[n])
    for place, number in enumerate(growing):
        share = max(room, 0) // (len(growing) - place)
        grown = min(share, natural[number] - widths[number])
        widths[number] += grown
        room -= grown


def _beside(cells: Sequence[Sequence[Text]], widths: Sequence[int]) -> Iterator[Text]:
    """Yield the lines of cells that stand side by side."""
    from rich.text import Text

    for row in range(max((len(lines) for lines in cells), default=0)):
        line = Text()
        for lines, width in zip(cells, widths, strict=True):
            cell = lines[row] if row < len(lines) else Text()
            line.append_text(cell)
            line.append(" " * (width - cell.cell_len) + _GAP)
        line.rstrip()
        yield line


def _end_within(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    while cell_len(text) >= width:
        text = text[1:]
    return f"…{text}"


def _ids_within(text: str, width: int) -> str:
    ids = text.split()
    for count in range(len(ids), 1, -1):
        more = f" +{len(ids) - count}" if count < len(ids) else ""
        if cell_len(fitting := " ".join(ids[:count]) + more) <= width:
            return fitting
    return f"{ids[0]} +{len(ids) - 1}" if len(ids) > 1 else text
