"""The exit codes of the command line. Scripts rely on these numbers: they never change."""

from __future__ import annotations

from enum import IntEnum

from shiftwork.api import errors


class Exit(IntEnum):
    """The exit codes."""

    OK = 0
    #: The request, or job, that was followed failed or was cancelled; or a fault without a number.
    FAILED = 1
    #: The command line is wrong.
    USAGE = 2
    #: What it names does not exist.
    NOT_FOUND = 3
    #: It is refused: bad input, too large, or in a state that does not admit it.
    REFUSED = 4
    #: No stack is configured, or it does not answer.
    UNREACHABLE = 5
    #: The token is missing or not good for this.
    UNAUTHORIZED = 6
    #: Ctrl-C.
    INTERRUPTED = 130


class Ambiguous(errors.ShiftworkError):
    """Several things begin with what was typed."""


_CODES: dict[type[Exception], Exit] = {
    Ambiguous: Exit.USAGE,
    errors.NotConfigured: Exit.UNREACHABLE,
    errors.Unreachable: Exit.UNREACHABLE,
    errors.Unauthorized: Exit.UNAUTHORIZED,
    errors.NotFound: Exit.NOT_FOUND,
    errors.BadDefinitions: Exit.REFUSED,
    errors.Conflict: Exit.REFUSED,
    errors.TooLarge: Exit.REFUSED,
    errors.Invalid: Exit.REFUSED,
}


def exit_of(error: Exception) -> Exit:
    """Return the exit code of an error that ended a command; a subclass goes by its base."""
    return next((_CODES[kind] for kind in type(error).mro() if kind in _CODES), Exit.FAILED)
