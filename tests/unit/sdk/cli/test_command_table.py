"""The table of commands says what their functions say, and every command of it loads."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import typer

from shiftwork.cli.app import app
from shiftwork.cli.command_table import COMMANDS, Command, Group
from shiftwork.cli.lazy_group import LazyGroup
from tests.unit.sdk.conftest import Run


def every() -> Iterator[tuple[list[str], Command]]:
    """Yield every command with the words that call it."""
    for name, entry in COMMANDS.items():
        if isinstance(entry, Group):
            yield from (([name, own], command) for own, command in entry.commands.items())
        else:
            yield [name], entry


@pytest.mark.parametrize(("words", "entry"), list(every()), ids=lambda value: str(value)[:30])
def test_a_commands_line_is_the_first_of_its_function(words: list[str], entry: Command) -> None:
    module, function = entry.place.split(":")
    found = getattr(import_module(f"shiftwork.cli.commands.{module}"), function)
    assert inspect.getdoc(found).splitlines()[0] == entry.help  # type: ignore[union-attr]


@pytest.mark.parametrize(("words", "entry"), list(every()), ids=lambda value: str(value)[:30])
def test_every_command_loads_and_has_a_help(words: list[str], entry: Command, run: Run) -> None:
    for option in ("--help", "-h"):
        result = run(*words, option)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(f"Usage: root {' '.join(words)} ")
        assert " ".join(entry.help.split()) in " ".join(result.stdout.split())


def test_the_help_has_every_command_in_its_panel(run: Run) -> None:
    result = run("--help")
    assert run("-h").stdout == run().output == result.stdout
    panels: dict[str, list[str]] = {}
    panel = ""
    for line in result.stdout.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            panel = line.removesuffix(":")
        elif line[:2] == "  " and line[2:3].strip():
            panels.setdefault(panel, []).append(line.split()[0])
    expected: dict[str, list[str]] = {}
    for name, entry in COMMANDS.items():
        expected.setdefault(entry.panel, []).append(name)
    assert list(expected) == [
        "The stack", "Definitions", "Requests", "Workers", "Workspaces", "Demos",
    ]  # fmt: skip
    del panels["Options"], panels[""]
    epilog = panels["Demos"].index("Exit")
    panels["Demos"] = panels["Demos"][:epilog]
    assert panels == expected


def test_a_group_has_the_help_of_its_commands(run: Run) -> None:
    result = run("worker", "--help")
    group = COMMANDS["worker"]
    assert isinstance(group, Group)
    for name, entry in group.commands.items():
        assert f"  {name} " in result.stdout
        assert entry.help in " ".join(result.stdout.split())


def test_names_are_completed_without_loading_a_command() -> None:
    group: Any = typer.main.get_command(app)
    assert isinstance(group, LazyGroup)
    context = group.make_context("shiftwork", [], resilient_parsing=True)
    found = {item.value: item.help for item in group.shell_complete(context, "wor")}
    assert found.keys() == {"worker", "workers", "workspace", "workspaces"}
    assert found["worker"] == "One worker."
    assert group.commands == {}
