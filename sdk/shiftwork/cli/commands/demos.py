"""Commands that run the demos."""

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
            exists=True,
            file_okay=False,
            help="The folder of Markdown and Python files.",
        ),
    ] = Path(),
    output: OutputOption = Format.TABLE,
) -> None:
    """Index the documents of a folder, and watch the request."""
    from shiftwork.cli.demos import documents

    with connection.connect() as client:
        documents.run(client, folder, Output(output))


def demo_workers(output: OutputOption = Format.TABLE) -> None:
    """Start two workers, give them parcels to send, kill one, and watch its tasks move."""
    from shiftwork.cli.demos import workers

    with connection.connect() as client:
        workers.run(client, Output(output))


def demo_workspaces(output: OutputOption = Format.TABLE) -> None:
    """Switch workspaces on and off by schedule, by override and by hand, and watch."""
    from shiftwork.cli.demos import workspaces

    with connection.connect() as client:
        workspaces.run(client, Output(output))


def demo_wide(
    rows: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="How many rows the file has.")
    ] = 100_000,
    output: OutputOption = Format.TABLE,
) -> None:
    """Load a file of 100,000 rows, a job for each, tolerate the bad ones, and list them."""
    from shiftwork.cli.demos import orders

    with connection.connect() as client:
        orders.run(client, rows, Output(output))
