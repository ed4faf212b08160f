"""Read an option that is one of a few words, such as a status, in any case."""

from __future__ import annotations

from collections.abc import Iterable

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
