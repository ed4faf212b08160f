"""Whether a command is to write no hints."""

from __future__ import annotations

from contextvars import ContextVar

IS_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
