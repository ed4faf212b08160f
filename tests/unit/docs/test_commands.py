"""Parse every command that the pages and the product's messages show."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

from shiftwork.cli.app import app
from shiftwork.cli.exit_codes import Exit
from tests.unit.docs.pages import PAGES, ROOT, blocks, inline_code, name_of
from tools import draw_cli

_CALL = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*((?:\.venv/bin/)?shiftwork|make)( .*)?$")
_TARGET = re.compile(r"^([a-z-]+):.*##", re.MULTILINE)
#: Words that stand for something of the reader's own.
_PLACEHOLDERS = {"PATH": ".", "FILE": ".", "N": "1"}
#: Where a shell's next command begins.
_ENDS = {"|", "&&", "&", ";", ">"}
_SOURCES = [*(ROOT / "sdk").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
_SOURCES += [*(ROOT / "layers" / "core").rglob("*.py")]


def calls(page: Path) -> Iterator[str]:
    """Yield the page's calls of shiftwork and make, without variables set before them."""
    for block in blocks(page, "", "console", "sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            yield from found_in(line)
    for code in inline_code(page):
        yield from found_in(code)


def found_in(line: str) -> Iterator[str]:
    if match := _CALL.match(line.strip()):
        yield f"{match[1].rpartition('/')[2]}{match[2] or ''}"


def parse(words: list[str]) -> None:
    """Parse a command line as the program does, without running it.

    Raises
    ------
    Exception
        If the program has no such command.
    """
    group: Any = typer.main.get_command(app)
    try:
        context = group.make_context("shiftwork", words, resilient_parsing=not words)
        while hasattr(group, "commands"):
            rest = [*context._protected_args, *context.args]
            if not rest:
                return
            name, group, rest = group.resolve_command(context, rest)
            context = group.make_context(name, rest, parent=context)
    except typer.Exit:  # --help
        return


@pytest.mark.parametrize("page", [page for page in PAGES if page != draw_cli.PAGE], ids=name_of)
def test_every_command_of_the_page_can_be_typed(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text()))
    for call in calls(page):
        words = list(takewhile(lambda word: word not in _ENDS, shlex.split(call, comments=True)))
        if words[0] == "make":
            goals = {word for word in words[1:] if "=" not in word}
            assert goals <= targets, call
        else:
            try:
                parse([_PLACEHOLDERS.get(word, word) for word in words[1:]])
            except Exception as error:
                # Prose may name a command without its arguments.
                if type(error).__name__ != "MissingParameter":
                    pytest.fail(f"{call}: {getattr(error, 'message', error)}")


def test_a_command_that_does_not_exist_is_noticed() -> None:
    for call in ("shiftwork subnit x", "shiftwork jobs last --state new", "shiftwork show"):
        with pytest.raises(Exception):  # noqa: B017  (typer keeps its classes to itself)
            parse(call.split()[1:])


def test_every_command_that_the_product_names_exists() -> None:
    names = {words[1] for words, _ in draw_cli.commands()}
    found = set()
    for source in _SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                hints = re.findall(r"(?:^|: |`|, then )shiftwork ([a-z][a-z-]*)", node.value)
                found |= {(hint, source.name) for hint in hints}
    assert len(found) > 10
    assert [place for place in found if place[0] not in names] == []


def test_the_page_of_the_commands_is_drawn_from_them() -> None:
    assert draw_cli.PAGE.read_text() == draw_cli.draw(), "run: python tools/draw_cli.py"


def test_the_page_of_the_commands_explains_every_exit_code() -> None:
    assert set(draw_cli._EXITS) == set(Exit)
