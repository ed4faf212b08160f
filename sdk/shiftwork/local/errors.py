"""The one error of the local stack."""

from __future__ import annotations


class LocalStackError(Exception):
    """What went wrong, and the command or the change that helps.

    Attributes
    ----------
    message
        One or two sentences for the user.
    next_step
        What to do now; empty if there is nothing better than reading the message.
    """

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
