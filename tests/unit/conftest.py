"""Fixtures of many unit tests: a function's app as Lambda imports it, and silence."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

# Its handler keeps the stdout that it is imported under: that must not be one of a test's commands.
import shiftwork_core.telemetry  # noqa: F401

# No test finds the stack that whoever runs it has put up, or leaves a record of its own.
os.environ["XDG_STATE_HOME"] = os.devnull

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"


@pytest.fixture
def import_app(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function that imports `functions/<name>/app.py` as Lambda does, from its folder."""

    def load(name: str) -> ModuleType:
        folder = FUNCTIONS / name
        monkeypatch.syspath_prepend(str(folder))
        module_name = f"functions_{name}_app"
        if module_name in sys.modules:
            return sys.modules[module_name]
        spec = importlib.util.spec_from_file_location(module_name, folder / "app.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[module_name]
            raise
        return module

    return load


@pytest.fixture
def unlogged() -> Iterator[None]:
    """Log nothing: xdist cannot send a captured log that has half a surrogate pair."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(previous)
