"""The command line, `shiftwork`: its commands, demos and output."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from shiftwork.cli.app import app

    app()
