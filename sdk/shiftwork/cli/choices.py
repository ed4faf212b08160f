"""The options that filter a list: read one that is one of a few words; say how to see more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import typer


def one_of(option: str, text: str | None, words: Iterable[str]) -> str | None:
    """Return the word as the API spells it; None if nothing was typed.

    Raises
    ------
    typer.BadParameter
        If it is none of the words.
    """
    if not text:
        return None
    known = {word.lower(): word for word in words}
    if text.lower() not in known:
        raise typer.BadParameter(f"{text!r} must be one of {', '.join(known)}", param_hint=option)
    return known[text.lower()]


def one_of_type(option: str, text: str | None, type_name: str) -> str | None:
    """Return the word as the API spells it, of a type of `shiftwork.api.shapes`, such as a status.

    Raises
    ------
    typer.BadParameter
        If it is none of the type's words.
    """
    if not text:
        return None
    # Imported here: all the shapes take long to make.
    from shiftwork.api import shapes

    return one_of(option, text, get_args(getattr(shapes, type_name)))


def more(command: str, limit: int, **filters: object) -> str:
    """Return how to see more of a list that was cut, with the same filters."""
    given = "".join(f" --{name} {value}" for name, value in filters.items() if value is not None)
    return f"There are more: shiftwork {command}{given} --limit {limit * 5}"
