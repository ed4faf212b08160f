"""Test what an unknown command suggests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

from shiftwork.cli.app import app
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.suggesting import OTHER_WORDS

Run = Callable[..., Result]


def said(result: Result) -> str:
    """Return an error without its frame, on one line."""
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        (["list"], "requests"),
        (["logs", "last"], "job logs"),
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
    assert "No such command" in said(result)
    assert said(result).endswith(f"{suggested} ╯") or f" {suggested}" in said(result)
    assert "Did you mean: " in said(result)


def test_a_word_that_is_close_to_nothing_is_only_refused(run: Run) -> None:
    result = run("xyzzy")
    assert result.exit_code == Exit.USAGE
    assert "Did you mean" not in said(result)


def test_each_other_word_leads_to_a_command() -> None:
    import typer

    group = typer.main.get_command(app)
    for command in set(OTHER_WORDS.values()):
        found = group
        for word in command.split():
            found = found.commands[word]  # type: ignore[attr-defined]
    assert not set(OTHER_WORDS) & set(group.commands)  # type: ignore[attr-defined]
