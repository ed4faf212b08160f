"""Reach the platform, which is a package of its own and may not be installed."""

from __future__ import annotations

import importlib
from typing import Any

from shiftwork.api.errors import ShiftworkError


class NoPlatform(ShiftworkError):
    """A command needs what `shiftwork[platform]` brings."""


def platform(module: str) -> Any:
    """Return a module of the platform.

    Raises
    ------
    NoPlatform
        If the platform is not installed.
    """
    try:
        return importlib.import_module(f"shiftwork_platform.{module}")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "shiftwork_platform":
            raise NoPlatform(
                "this command needs the platform, which is not installed",
                "Install it: pip install 'shiftwork[platform]'",
            ) from error
        raise
