"""The commands of the demos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shiftwork.cli import connection
from shiftwork.cli.render.output import Format, Output, OutputOption


def demo(
    folder: Annotated[
        Path,
        typer.Option(
            exists=True, file_okay=False, help="Whose Markdown and Python files to index."
        ),
    ] = Path(),
    output: OutputOption = Format.TABLE,
) -> None:
    """Index the documents of a folder, and watch how it is done."""
    from shiftwork.cli.demos import documents

    with connection.connect() as client:
        documents.run(client, folder, Output(output))


def demo_workers(output: OutputOption = Format.TABLE) -> None:
    """Start two workers, send parcels through them, kill one, and watch what becomes of it."""
    from shiftwork.cli.demos import workers

    with connection.connect() as client:
        workers.run(client, Output(output))


def demo_workspaces(output: OutputOption = Format.TABLE) -> None:
    """Switch workspaces on and off by schedule, override and hand, and watch how it is done."""
    from shiftwork.cli.demos import workspaces

    with connection.connect() as client:
        workspaces.run(client, Output(output))
