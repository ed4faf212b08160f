"""Draw docs/reference/cli.md from the commands: `python tools/draw_cli.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from shiftwork.cli.app import app
from shiftwork.cli.exit_codes import Exit

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"

_INTRODUCTION = """\
# The command line

Drawn from the commands in `sdk/shiftwork/cli` by `tools/draw_cli.py`; a test keeps the two
equal.

- **Which Shiftwork.** `SHIFTWORK_URL` and `SHIFTWORK_TOKEN` if they are set, else the local stack:
  the nearest `.shiftwork/local.env` in this folder or above, else the stack that was put up last.
  More variables:
  [settings](settings.md).
- **What is written.** The answer goes to stdout, everything else to stderr. With `-o json` or
  `-o yaml` the answer is in the shapes of [the HTTP API](api.md); `-o name` writes ids, one a line;
  `-o wide` leaves out and cuts nothing. Every command but `exec`, `init` and those that serve takes
  it. On a terminal tables have colours (`NO_COLOR` turns them off) and fit its width: ids stay
  whole, long texts end in `…`, an error without room stands below its row, and a line below the
  table names the columns that had no room. A request that you follow is a live tree. Elsewhere both
  are plain lines, and no cell is cut. Control characters are written out, such as `\\x1b`; JSON
  keeps them.
- **What may stand for an id.** Its beginning, if only one of the first 500 that the API lists
  begins so; for a request or a lifecycle job also `last`, the newest; for an attempt also a request
  and a job, such as `last/send[3]`: the job's newest attempt. A beginning that could mean several
  lists them. A command that changes something takes no guess: it wants the whole name of a worker
  or workspace, and at least 8 characters of a generated id.
- **What a TIME is.** `22:00`, the next such time; `+2h` or `+1h30m`; `+3d` or `+2w`, which keep the
  time of day; `monday` or `tomorrow`, from midnight, or at a time: `monday 08:00`; `week`, when it
  is over; or ISO 8601, such as `2026-12-24T22:00`. Without an offset it is local time.
- **What is asked.** `apply`, `deploy` and a `retry` of many ask. Without a terminal they change
  nothing unless you give `--yes`.
- **What is left out.** `shiftwork --quiet COMMAND`, or `SHIFTWORK_QUIET=1`, writes no hints, only
  the answer and what fails.
- **What a shell completes.** After `--install-completion`: commands, options, and the
  ids of requests, workers, workspaces and lifecycle jobs, and the types, that the configured
  Shiftwork lists. It waits a second for them at most.

`shiftwork --help` lists the commands, and each of them has a `--help`.
"""

_EXITS = {
    Exit.OK: "done",
    Exit.FAILED: "the request or job that was followed did not complete, or another fault",
    Exit.USAGE: "the command line is wrong or ambiguous, or nobody could answer a question",
    Exit.NOT_FOUND: "the thing that the command line names does not exist",
    Exit.REFUSED: "the API refuses: bad input, too large, or a state that does not allow it",
    Exit.UNREACHABLE: "no stack is configured, or the stack does not answer",
    Exit.UNAUTHORIZED: "the token is missing, or does not allow this",
    Exit.INTERRUPTED: "Ctrl-C",
}

#: What stands for the value of an option, by its type.
_PLACEHOLDERS = {"int": "N", "int range": "N", "path": "PATH", "directory": "PATH"}


def draw() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, "## Exit codes", "", "| code | |", "| --- | --- |"]
    parts += [f"| {code.value} | {_EXITS[code]} |" for code in Exit]
    for words, command in commands():
        shown = [p for p in command.params if p.name not in ("output", "help")]
        parts += ["", f"## {' '.join(words[1:])}", "", command.help, ""]
        parts += ["```", _usage(words, shown), "```"]
        if shown:
            rows = (f"| {_names(p)} | {p.help}{_default(p)} |" for p in shown)
            parts += ["", "| | |", "| --- | --- |", *rows]
    return "\n".join([*parts, ""])


def commands() -> Iterator[tuple[list[str], Any]]:
    """Yield every command with the words that call it."""
    yield from _commands_of(["shiftwork"], typer.main.get_command(app))


def _commands_of(words: list[str], group: Any) -> Iterator[tuple[list[str], Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from _commands_of([*words, name], command)
        else:
            yield [*words, name], command


def _usage(words: list[str], params: list[Any]) -> str:
    """Return the line that calls it: what is required is plain, the rest in brackets."""
    arguments = [p for p in params if p.param_type_name == "argument"]
    line = [*words, *(_argument(p) if p.required else f"[{_argument(p)}]" for p in arguments)]
    return " ".join(line if arguments == params else [*line, "[OPTIONS]"])


def _names(p: Any) -> str:
    if p.param_type_name == "argument":
        return f"`{_argument(p)}`"
    return ", ".join(f"`{name}{_value(p)}`" for name in p.opts)


def _argument(p: Any) -> str:
    name = p.metavar or p.name.upper()
    return f"{name}..." if p.nargs == -1 else str(name)


def _value(p: Any) -> str:
    """Return what follows an option, with a space before it; nothing for a switch."""
    if p.is_flag:
        return ""
    if choices := getattr(p.type, "choices", None):
        return " " + "|".join(str(getattr(choice, "value", choice)) for choice in choices)
    return f" {p.metavar or _PLACEHOLDERS.get(p.type.name, 'TEXT')}"


def _default(p: Any) -> str:
    return f" Default: {p.default}" if p.default else ""


if __name__ == "__main__":
    PAGE.write_text(draw())
