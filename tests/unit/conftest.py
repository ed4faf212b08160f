"""Import a function's app as Lambda does; used by the tests of every function."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

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
