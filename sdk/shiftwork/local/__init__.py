"""The local stack: an AWS emulator with Shiftwork deployed to it."""

from shiftwork.local.errors import LocalStackError
from shiftwork.local.stack import Stack, StackStatus

__all__ = ["LocalStackError", "Stack", "StackStatus"]
