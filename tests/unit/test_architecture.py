"""Which module may import which, where import-linter does not check: functions, and cycles."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

from tests.template import ROOT

FUNCTIONS = sorted(path.parent for path in (ROOT / "functions").glob("*/app.py"))
#: Folders that are on the path of a process, each with the modules below it.
FOLDERS = [ROOT / "layers" / "core", ROOT / "sdk", *FUNCTIONS]


@cache
def modules_in(folder: Path) -> Mapping[str, Path]:
    """Return the files below a folder by their modules' names."""
    found = {}
    for path in folder.rglob("*.py"):
        *parents, name = path.relative_to(folder).with_suffix("").parts
        found[".".join(parents if name == "__init__" else [*parents, name])] = path
    return found


def imports_of(source: str, package: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield each module that is imported, with the names that are imported from it.

    What only type checkers import is left out, and so is what only a script's run imports.
    """
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                waiting += node.orelse
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                pass
            case ast.Import():
                yield from ((alias.name, []) for alias in node.names)
            case ast.ImportFrom():
                module = resolve_name("." * node.level + (node.module or ""), package)
                yield module, [alias.name for alias in node.names]
            case _:
                waiting += ast.iter_child_nodes(node)


def imported(source: str, modules: Mapping[str, Path], package: str = "") -> set[str]:
    """Return which of the modules are imported.

    `from package import module` imports the module; it counts for the package only if it names
    something that the package itself defines.
    """
    found = set()
    for module, names in imports_of(source, package):
        below = {f"{module}.{name}" for name in names}
        found |= below & modules.keys()
        if not names or below - modules.keys():
            found.add(module)
    return found & modules.keys()


def package_of(name: str, path: Path) -> str:
    """Return the package that a module's relative imports begin at."""
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """Return modules that import each other in a circle, or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_no_modules_import_each_other_in_a_circle(folder: Path) -> None:
    modules = modules_in(folder)
    graph = {
        name: imported(path.read_text(), modules, package_of(name, path))
        for name, path in modules.items()
    }
    assert sum(map(len, graph.values())) > 0 or len(modules) == 1
    assert circle_in(graph) == []


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda folder: folder.name)
def test_functions_never_import_the_sdk(function: Path) -> None:
    for name, path in modules_in(function).items():
        for module, _ in imports_of(path.read_text(), package_of(name, path)):
            assert module.partition(".")[0] != "shiftwork", name


def test_the_domain_imports_itself_the_errors_and_the_standard_library() -> None:
    core = modules_in(ROOT / "layers" / "core")
    domain = {name: path for name, path in core.items() if name.startswith("shiftwork_core.domain")}
    assert len(domain) > 10
    for name, path in domain.items():
        for module, _ in imports_of(path.read_text(), package_of(name, path)):
            is_ours = module.startswith(("shiftwork_core.domain", "shiftwork_core.errors"))
            assert is_ours or module.partition(".")[0] in sys.stdlib_module_names, name


def test_a_circle_is_found_and_imports_for_types_are_none() -> None:
    modules = {"p": Path(), "p.a": Path(), "p.b": Path()}
    to_a, to_b = "from p import a", "def f():\n    from p.b import c"
    of_types = "if TYPE_CHECKING:\n    from p.b import c\nelse:\n    import sys"
    of_a_script = "if __name__ == '__main__':\n    from p.b import c"
    assert imported(to_a, modules) == {"p.a"}
    assert imported(to_b, modules) == {"p.b"}
    assert imported("from .b import c", modules, "p") == {"p.b"}
    assert imported("from p import defined_there", modules) == {"p"}
    assert imported(of_types, modules) == imported(of_a_script, modules) == set()
    assert {*circle_in({"p.a": {"p.b"}, "p.b": {"p.a"}})} == {"p.a", "p.b"}
    assert circle_in({"p.a": {"p.b"}, "p.b": set()}) == []
