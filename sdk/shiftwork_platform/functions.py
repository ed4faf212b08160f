"""Import the code of a function apart from all other code, with a composition root of its own.

Functions name their modules freely (`inputs`, `metrics`): on Lambda each is alone in its process.
Here many share one with the code of authors, so each import of a function's module finds only that
function's own.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import count
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from shiftwork_platform.tree import ROOT

_numbers = count(1)


class FunctionCode:
    """The modules of one function.

    Parameters
    ----------
    name:
        Its folder below `functions/`.
    bootstrap:
        What its code gets as `shiftwork_core.bootstrap`.
    """

    def __init__(self, name: str, bootstrap: object) -> None:
        self._folder = ROOT / "functions" / name
        self._own = {path.stem for path in self._folder.iterdir() if _is_module(path)}
        self._prefix = f"shiftwork_function_{name}_{next(_numbers)}"
        self._bootstrap = bootstrap
        package = ModuleType(self._prefix)
        package.__path__ = [str(self._folder)]
        sys.modules[self._prefix] = package
        sys.meta_path.insert(0, self)

    def module(self, name: str) -> Any:
        """Return a module of the function, by its name as the function's own code knows it."""
        return importlib.import_module(f"{self._prefix}.{name}")

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find modules of the function, and no others; see `importlib.abc.MetaPathFinder`."""
        if not name.startswith(f"{self._prefix}."):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self._builtins())
        return spec

    def _builtins(self) -> dict[str, Any]:
        return {**vars(builtins), "__import__": self._import}

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """Import for the function's code; see `builtins.__import__`."""
        names = fromlist or ()
        if level == 0 and name == "shiftwork_core" and "bootstrap" in names:
            others = importlib.import_module(name)
            found = {n: getattr(others, n) for n in names if n != "bootstrap"}
            return SimpleNamespace(bootstrap=self._bootstrap, **found)
        if level == 0 and name == "importlib" and "import_module" in names:
            found = {n: getattr(importlib, n) for n in names}
            return SimpleNamespace(**{**found, "import_module": self._import_module})
        top = name.partition(".")[0]
        if level or top not in self._own:
            return builtins.__import__(name, globals, locals, names, level)
        whole = f"{self._prefix}.{name}"
        if names:
            return builtins.__import__(whole, globals, locals, names, 0)
        importlib.import_module(whole)
        return sys.modules[f"{self._prefix}.{top}"]

    def _import_module(self, name: str) -> Any:
        """Import for the function's code; see `importlib.import_module`."""
        is_own = name.partition(".")[0] in self._own
        return self.module(name) if is_own else importlib.import_module(name)


class _Loader(SourceFileLoader):
    """Runs a module with other builtins."""

    def __init__(self, name: str, path: str, names: dict[str, Any]) -> None:
        super().__init__(name, path)
        self._names = names

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        module.__dict__["__builtins__"] = self._names
        super().exec_module(module)


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").is_file()
