"""Ask whether to go on, before a command changes something."""

from __future__ import annotations

import sys

import typer


def ask(question: str) -> None:
    """Ask; return if the answer is yes.

    Raises
    ------
    typer.Exit
        If the answer is no, or nobody can answer.
    """
    from shiftwork.cli.exit_codes import Exit

    if not _has_terminal():
        typer.echo("Nobody can answer here: nothing was changed. Add --yes.", err=True)
        raise typer.Exit(Exit.USAGE)
    if not typer.confirm(question, err=True):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(Exit.FAILED)


def _has_terminal() -> bool:
    return sys.stdin.isatty()
