"""The error of the local stack, with what to do next."""

from __future__ import annotations

from shiftwork.api.errors import ShiftworkError


class LocalStackError(ShiftworkError):
    """What went wrong with a stack, and the command or change that helps."""
