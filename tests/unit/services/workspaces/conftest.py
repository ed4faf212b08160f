"""A fresh lifecycle for each test."""

from __future__ import annotations

import pytest

from tests.world.lifecycle import LifecycleWorld


@pytest.fixture
def world() -> LifecycleWorld:
    """Workspaces in memory, at the first moment of Thursday, 2026-01-01."""
    return LifecycleWorld()
