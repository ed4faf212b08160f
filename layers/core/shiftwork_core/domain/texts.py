"""Texts of unknown origin, made such that any row, log and client can take them."""

from __future__ import annotations


def storable(text: str, most_bytes: int) -> str:
    r"""Return the text as UTF-8 can write it, cut so that it has at most so many bytes.

    Half a surrogate pair, which UTF-8 cannot write, is written out: `\udc80`. A cut text ends with
    an ellipsis. Of such a text it returns the same.
    """
    written = text.encode("utf-8", "backslashreplace")
    if len(written) > most_bytes:
        # An ellipsis takes three bytes; a character that was cut in two goes as well.
        return written[: most_bytes - 3].decode("utf-8", "ignore") + "…"
    return written.decode()


def written_out(text: str) -> str:
    """Return the text as UTF-8 can write it, of any length; see `storable`."""
    return text.encode("utf-8", "backslashreplace").decode()


def text_of(error: BaseException) -> str:
    """Return an error's text, also of one that fails to say it."""
    try:
        return str(error)
    except BaseException as failed:  # Whatever somebody else's `__str__` raises.
        return f"(its text cannot be read: {type(failed).__name__})"
