"""Measured figures with their budgets, and the tables that print them."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes
    ----------
    name
        What is measured, with its unit.
    measured
        As printed.
    budget
        As printed; empty where there is none.
    is_held
        Whether the budget is held; None where there is no budget.
    note
        How it was measured, or why it misses.
    """

    name: str
    measured: str
    budget: str = ""
    is_held: bool | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return in one word whether the budget is held."""
        return {True: "held", False: "MISSED", None: ""}[self.is_held]


@dataclass(frozen=True, slots=True)
class Section:
    """A table of figures."""

    title: str
    figures: list[Figure]

    def print(self) -> None:
        """Print it."""
        table = Table(title=self.title, title_justify="left", title_style="bold")
        table.add_column("figure")
        table.add_column("budget", justify="right")
        table.add_column("measured", justify="right")
        table.add_column("verdict")
        table.add_column("note", style="dim")
        for figure in self.figures:
            colour = {True: "green", False: "bold red", None: "default"}[figure.is_held]
            verdict = f"[{colour}]{figure.verdict}[/]"
            row = (figure.name, figure.budget, figure.measured, verdict, figure.note)
            table.add_row(*row)
        # rich assumes 80 columns for a pipe; a wider table is easier to read.
        Console(width=None if sys.stdout.isatty() else 140).print(table)

    def to_markdown(self) -> str:
        """Return it as a table of docs/reference/figures.md."""
        rows = [("figure", "budget", "measured", "verdict", "note"), ("---",) * 5]
        rows += [(f.name, f.budget, f.measured, f.verdict, f.note) for f in self.figures]
        lines = (f"| {' | '.join(cell.strip() for cell in row)} |" for row in rows)
        return f"### {self.title}\n\n" + "\n".join(lines) + "\n"


def at_most(name: str, value: float, budget: float, form: str, note: str = "") -> Figure:
    """Return a figure that must not exceed its budget; `form` formats both, e.g. `{:.2f} x`."""
    return Figure(name, form.format(value), form.format(budget), value <= budget, note)
