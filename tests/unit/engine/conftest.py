"""A fresh engine for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shiftwork_core.callbacks import CALLBACKS
from tests.world.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """An engine in memory; the callbacks that a test registers go with it."""
    before = dict(CALLBACKS)
    yield World()
    CALLBACKS.clear()
    CALLBACKS.update(before)
