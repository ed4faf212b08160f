"""Build the client with which the commands call the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient


def connect() -> ShiftworkClient:
    """Return a client for the configured Shiftwork; tests put their own in its place."""
    from shiftwork.api.client import ShiftworkClient

    return ShiftworkClient()
