"""Make the mutants of DynamoDB's conditions, filters and key conditions.

Each atom of a condition, at each place where the condition is used, becomes a test that always
holds, and `<` and `<=` change places. In a key condition, which has no such test, it is dropped.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator

from tests.mutants.mutant import Module, Mutant, Span

_ATOM = re.compile(
    r"attribute_(?:not_)?exists\((?P<tested>#\w+)\)"
    r"|begins_with\((?P<begun>#\w+), :\w+\)"
    r"|(?P<between>#\w+) BETWEEN :\w+ AND :\w+"
    r"|(?P<listed>#\w+) IN \([^)]*\)"
    r"|(?P<compared>#\w+) (?:=|<>|<=|>=|<|>) [:#]\w+"
)
_ORDER = re.compile(r" (<=|>=|<|>) ")
_SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}


def conditions(module: Module, names: str) -> Iterator[Mutant]:
    """Yield every mutant of the module's conditions; `names` is the module that names them."""
    named = vars(importlib.import_module(names))
    for span in _places(module.tree):
        was = ast.unparse(span.root)
        for text, is_condition in _texts(span.root, named):
            weaker = weaker_conditions(text) if is_condition else weaker_queries(text)
            for becomes in weaker:
                yield module.mutant(span, was, becomes, repr(becomes))


def weaker_conditions(text: str) -> Iterator[str]:
    """Yield the condition with one atom that always holds, or with another bound."""
    for atom in _ATOM.finditer(text):
        name = next(name for name in atom.groupdict().values() if name)
        always = f"(attribute_exists({name}) OR attribute_not_exists({name}))"
        yield text[: atom.start()] + always + text[atom.end() :]
    yield from _other_bounds(text)


def weaker_queries(text: str) -> Iterator[str]:
    """Yield a key condition, or a filter, without one of its atoms, or with another bound."""
    atoms = list(_ATOM.finditer(text))
    if len(atoms) == 1 and not text.startswith(" AND "):
        yield from weaker_conditions(text)
        return
    for atom in atoms:
        rest = text[: atom.start()].removesuffix(" AND ") + text[atom.end() :]
        yield rest.removeprefix(" AND ") if not text.startswith(" AND ") else rest
    yield from _other_bounds(text)


def _other_bounds(text: str) -> Iterator[str]:
    for order in _ORDER.finditer(text):
        yield text[: order.start(1)] + _SWAPS[order[1]] + text[order.end(1) :]


def _places(tree: ast.Module) -> Iterator[Span]:
    """Yield where a condition is named, or written out."""
    yield from _below(tree, None, "")


def _below(node: ast.AST, statement: ast.stmt | None, function: str) -> Iterator[Span]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue  # A docstring.
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from _below(child, child, f"{function}.{child.name}".lstrip("."))
            continue
        here = child if isinstance(child, ast.stmt) else statement
        if isinstance(child, ast.Attribute | ast.Subscript | ast.Constant):
            yield Span(child, here, function, not function)
        if not isinstance(child, ast.JoinedStr | ast.Subscript):
            yield from _below(child, here, function)


def _texts(node: ast.AST, named: dict[str, object]) -> Iterator[tuple[str, bool]]:
    """Yield the condition's text, and whether it is one of a write (or else of a query)."""
    match node:
        case ast.Constant(value=str(text)) if _ATOM.search(text):
            yield text, False
        case ast.Attribute(value=ast.Name(id="c"), attr=name) if isinstance(named[name], str):
            yield str(named[name]), True
        case ast.Subscript(value=ast.Attribute(value=ast.Name(id="c"), attr=name)):
            # One of several of one atom each: only a run shows which.
            by_event = named[name]
            assert isinstance(by_event, dict)
            assert all(len(_ATOM.findall(text)) == 1 for text in by_event.values())
            yield "#status IN (any)", True
