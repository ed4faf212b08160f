"""Ask whether to do what has been shown."""

from __future__ import annotations

import sys

import typer


def ask(question: str, to_do: str) -> None:
    """Ask the question; `to_do` is what the option --yes would do.

    Raises
    ------
    typer.Exit
        If the answer is no, or nobody can answer.
    """
    from shiftwork.cli.exit_codes import Exit

    if not has_terminal():
        typer.echo(f"Nobody can answer here: nothing was changed. Add --yes to {to_do}.", err=True)
        raise typer.Exit(Exit.USAGE)
    if not typer.confirm(question, err=True):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(Exit.FAILED)


def has_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()
