"""Load changed code in place of a module's, or of one function's."""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from tests.mutants.mutant import Mutant
from tests.mutants.scope import Scope

Code = str | ast.Module


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from other code than its file's."""

    code: Code = ""

    def get_code(self, fullname: str) -> CodeType:
        """Compile it."""
        return compile(self.code, self.path, "exec", dont_inherit=True)


class Finder(MetaPathFinder):
    """Finds modules whose code differs from their file's."""

    def __init__(self, scope: Scope, codes: Mapping[Path, Code]) -> None:
        self._codes = {module_name(scope, file): (file, code) for file, code in codes.items()}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the module's spec with its loader, if it is one of them."""
        if name not in self._codes:
            return None
        file, code = self._codes[name]
        loader = _Loader(name, str(file))
        loader.code = code
        return importlib.util.spec_from_file_location(name, file, loader=loader)


def enter(scope: Scope) -> None:
    """Make the scope's package and its tests importable."""
    os.chdir(scope.root)
    sys.path[:0] = [str(scope.root), str(scope.source)]


def forget(scope: Scope) -> None:
    """Forget the project's modules, so that they are imported again."""
    packages = {path.name for path in scope.source.iterdir()} | {"tests"}
    for name in list(sys.modules):
        is_own = name == "tests" or name.startswith("tests.mutants")
        if name.partition(".")[0] in packages and not is_own:
            del sys.modules[name]


def module_name(scope: Scope, file: Path) -> str:
    """Return the module's name."""
    parts = file.relative_to(scope.source).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def put_in_place(scope: Scope, mutant: Mutant) -> None:
    """Give the mutated function its new code, also where it was imported before."""
    module = importlib.import_module(module_name(scope, mutant.file))
    owner: Any = module
    code = compile(mutant.source(), str(mutant.file), "exec", dont_inherit=True)
    for name in mutant.function.split("."):
        owner = vars(owner)[name]
        code = next(inner for inner in _inner(code) if inner.co_name == name)
        if not isinstance(owner, type):
            break  # What is defined within a function comes with its code.
    _function(owner).__code__ = code


def _inner(code: CodeType) -> Iterator[CodeType]:
    yield from (value for value in code.co_consts if isinstance(value, CodeType))


def _function(found: Any) -> FunctionType:
    """Return the function of a method of any kind, or of a property."""
    if isinstance(found, property):
        found = found.fget
    found = getattr(found, "__func__", found)
    assert isinstance(found, FunctionType)
    return found
