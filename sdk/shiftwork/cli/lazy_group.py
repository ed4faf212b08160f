"""A group of commands that imports the module of a command only when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

from shiftwork.cli.command_table import COMMANDS, Command, Group
from shiftwork.cli.suggesting import Suggesting


class LazyGroup(Suggesting):
    """Knows its commands by a table, `entries`: by default that of all commands."""

    entries: Mapping[str, Command | Group] = COMMANDS
    _is_listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands' names, in the order of the table."""
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, whose module is imported now; None if there is none of that name."""
        entry = self.entries.get(cmd_name)
        if entry is not None and self._is_listing:
            return TyperCommand(cmd_name, help=entry.help)
        if entry is not None and cmd_name not in self.commands:
            self.commands[cmd_name] = loaded(cmd_name, entry)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the lines of the table, panel by panel."""
        width = max(map(len, self.entries)) + 2
        for panel in dict.fromkeys(entry.panel for entry in self.entries.values()):
            with formatter.section(panel):
                rows = [
                    (name.ljust(width), entry.help)
                    for name, entry in self.entries.items()
                    if entry.panel == panel
                ]
                formatter.write_dl(rows, col_max=width, col_spacing=0)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Return the names that begin so, each with its line of the table."""
        self._is_listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._is_listing = False


def loaded(name: str, entry: Command | Group) -> Any:
    """Return the command of an entry of the table."""
    if isinstance(entry, Group):
        group = LazyGroup(name=name, help=entry.help, no_args_is_help=True, rich_markup_mode=None)
        group.entries = entry.commands
        return group
    module, function = entry.place.split(":")
    own = typer.Typer(add_completion=False, rich_markup_mode=None)
    own.command(name, context_settings=dict(entry.settings))(
        getattr(import_module(f"shiftwork.cli.commands.{module}"), function)
    )
    return typer.main.get_command(own)
