"""The command line, `shiftwork`: its commands, demos and output."""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line."""
    # Imports make many objects and no garbage: looking for some takes a tenth of a short command.
    gc.set_threshold(50_000)
    from shiftwork.cli.app import app

    app()
