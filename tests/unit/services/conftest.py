"""A fresh engine for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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


def counted(patch: pytest.MonkeyPatch, owner: object, name: str) -> list[Any]:
    """Note the calls of a method from now on."""
    calls: list[Any] = []
    method: Callable[..., Any] = getattr(owner, name)

    def call(*args: Any, **named: Any) -> Any:
        calls.append(args)
        return method(*args, **named)

    patch.setattr(owner, name, call)
    return calls
