"""The error of the local stack, with what to do next."""

from __future__ import annotations


class LocalStackError(Exception):
    """What went wrong, and the command or change that helps.

    Attributes
    ----------
    message
        One or two sentences for the user.
    next_step
        What to do now; empty if the message says all.
    """

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
