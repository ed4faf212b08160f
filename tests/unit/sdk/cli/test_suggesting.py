"""Test what an unknown command suggests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from shiftwork.cli.command_table import COMMANDS
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.suggesting import OTHER_WORDS

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        (["list"], "requests"),
        (["log", "last"], "logs"),
        (["run"], "submit"),
        (["submti"], "submit"),
        (["job", "lgos"], "job logs"),
        (["workspace", "strat"], "workspace start"),
    ],
)
def test_an_unknown_command_names_the_one_that_is_meant(
    typed: list[str], suggested: str, run: Run
) -> None:
    result = run(*typed)
    assert result.exit_code == Exit.USAGE
    assert f"No such command {typed[-1] if typed[0] in COMMANDS else typed[0]!r}." in result.stderr
    assert result.stderr.endswith(f" Did you mean: {result.stderr.split()[1]} {suggested}\n")


def test_a_word_that_is_close_to_nothing_is_only_refused(run: Run) -> None:
    result = run("xyzzy")
    assert result.exit_code == Exit.USAGE
    assert "Did you mean" not in result.stderr


def test_each_other_word_leads_to_a_command() -> None:
    for command in set(OTHER_WORDS.values()):
        commands: Any = COMMANDS
        for word in command.split():
            commands = getattr(commands[word], "commands", {})
    assert not set(OTHER_WORDS) & set(COMMANDS)
