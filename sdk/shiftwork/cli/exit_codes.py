"""The exit codes of the command line. Scripts rely on these numbers: they never change."""

from __future__ import annotations

from enum import IntEnum

from shiftwork.api import errors


class Exit(IntEnum):
    """The exit codes."""

    OK = 0
    #: The request or job that was followed did not complete; or a fault without a code of its own.
    FAILED = 1
    #: The command line is wrong, or what it names is ambiguous.
    USAGE = 2
    #: The thing that the command line names does not exist.
    NOT_FOUND = 3
    #: The API refuses: bad input, too large, or a state that does not allow it.
    REFUSED = 4
    #: No stack is configured, or it does not answer.
    UNREACHABLE = 5
    #: The token is missing, or does not allow this.
    UNAUTHORIZED = 6
    #: Ctrl-C.
    INTERRUPTED = 130


class Ambiguous(errors.ShiftworkError):
    """Several things begin with the text that was typed."""


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
