"""Keep a list up to date until Ctrl-C: a table on a terminal, elsewhere a line for each change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import typer

from shiftwork.cli.render.controls import one_line
from shiftwork.cli.render.output import Output
from shiftwork.cli.render.tables import Column, Table

T = TypeVar("T")

#: How long to wait between two looks.
_WATCH_S = 1.0

WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Keep it up to date.")]


@dataclass(frozen=True, slots=True)
class Watched(Generic[T]):
    """A list that can be watched.

    Attributes
    ----------
    look
        Reads it.
    rows_of
        Returns the rows of a table of it.
    state_of
        Returns the id of an item, and what is told when that differs from the last look.
    """

    look: Callable[[], Sequence[T]]
    columns: Sequence[Column]
    rows_of: Callable[[Sequence[T]], Sequence[Sequence[object]]]
    state_of: Callable[[T], tuple[str, str]]

    def watch(self, out: Output) -> None:
        """Show it until Ctrl-C; for a machine the whole list whenever it has changed."""
        if out.is_json:
            for found in self._changed():
                out.stream({"items": found})
            return
        if out.width is None or out.console.is_dumb_terminal:
            before: Sequence[T] = []
            for found in self._looks():
                for line in changes_between(before, found, self.state_of):
                    typer.echo(one_line(line))
                before = found
            return
        from rich.live import Live

        with Live(console=out.console, auto_refresh=False) as live:
            for found in self._looks():
                live.update(Table(self.columns, self.rows_of(found)), refresh=True)

    def _looks(self) -> Iterator[Sequence[T]]:
        while True:
            yield self.look()
            time.sleep(_WATCH_S)

    def _changed(self) -> Iterator[Sequence[T]]:
        """Yield the list at first, and whenever a state differs from the last look."""
        before = None
        for found in self._looks():
            now = dict(map(self.state_of, found))
            if now != before:
                yield found
            before = now


def changes_between(
    before: Sequence[T], after: Sequence[T], state_of: Callable[[T], tuple[str, str]]
) -> list[str]:
    """Return a line for every item whose state differs between two looks."""
    old, new = dict(map(state_of, before)), dict(map(state_of, after))
    lines = [f"{name}  {state}" for name, state in new.items() if old.get(name) != state]
    return lines + [f"{name}  gone" for name in old if name not in new]
