"""Suggest a command when one is typed that does not exist."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

#: What other tools call our commands.
OTHER_WORDS = {
    **dict.fromkeys(("list", "ls", "ps", "workflows", "runs"), "requests"),
    **dict.fromkeys(("log", "tail"), "logs"),
    **dict.fromkeys(("run", "start", "trigger", "execute"), "submit"),
    **dict.fromkeys(("describe", "get", "inspect", "info"), "show"),
    **dict.fromkeys(("stop", "terminate", "kill", "abort"), "cancel"),
    **dict.fromkeys(("validate", "lint"), "check"),
    **dict.fromkeys(("new", "create"), "init"),
    **dict.fromkeys(("serve", "server"), "dev"),
}


class Suggesting(TyperGroup):
    """Names the command that an unknown one is close to, or that other tools call so."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is typed."""
        name = args[0] if args else ""
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            from difflib import get_close_matches

            names = self.list_commands(ctx)
            other = OTHER_WORDS.get(name) if ctx.parent is None else None
            close = [other] if other else get_close_matches(name, names, 1)
            hint = f" Did you mean: {ctx.command_path} {close[0]}" if close else ""
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)
