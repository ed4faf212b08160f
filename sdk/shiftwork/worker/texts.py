"""Texts that functions log, raise or return, made such that a report can carry them."""

from __future__ import annotations


def printable(text: object, most: int | None = None) -> str:
    r"""Return the text as UTF-8 can write it, cut to at most so many characters.

    Half a surrogate pair, which UTF-8 cannot write, is written out: `\udc80`.
    """
    written = str(text).encode("utf-8", "backslashreplace").decode()
    return written if most is None or len(written) <= most else f"{written[: most - 1]}…"


def text_of(error: BaseException) -> str:
    """Return an error's text, also of one that fails to say it."""
    try:
        return printable(error)
    except BaseException as failed:  # Whatever somebody else's `__str__` raises.
        return f"(its text cannot be read: {type(failed).__name__})"
