"""Make the mutants of Python's guards.

Which nodes qualify
-------------------
A *test* (of an `if`, `while`, ternary, comprehension or `case`) becomes True and False. A
comparison, or a `not`, whose truth is a value (returned, assigned, passed) becomes True and False.
Of every `and` and `or`, wherever it is, each operand is dropped. `<` and `<=` are swapped, as are
`>` and `>=`. What is compared as a tuple is compared without each of its elements; so is a tuple
that a function returns only to be compared. Each `case` is dropped, and each alternative of one.

Each refusal in a table named `..._TRANSITIONS` becomes an admission, and each admission a refusal.
Each element of a set is dropped. `ConsistentRead=True` becomes False.

Annotations, `if TYPE_CHECKING` and the insides of f-strings are left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import Any, TypeVar

from tests.mutants.mutant import Module, Mutant, Span

Part = TypeVar("Part")

_SWAPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}


class Position(Enum):
    """The role of an expression in the code around it."""

    #: Its truth decides what is done.
    TEST = auto()
    #: Part of a test or of a boolean operation, which has it true and false already.
    OPERAND = auto()
    #: A value like any other.
    VALUE = auto()


def guards(module: Module) -> Iterator[Mutant]:
    """Yield every mutant of the module's guards, in the order of its text."""
    yield from _Walk(module).mutants()


class _Walk:
    def __init__(self, module: Module) -> None:
        self._module = module
        self._compared = _only_compared(module.tree)
        self._found: list[Mutant] = []

    def mutants(self) -> list[Mutant]:
        for statement in self._module.tree.body:
            self._statement(statement, "", True)
        return self._found

    # -- statements ----------------------------------------------------------------------------

    def _statement(self, node: ast.stmt, function: str, is_at_import: bool) -> None:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            inner = f"{function}.{node.name}".lstrip(".")
            is_class = isinstance(node, ast.ClassDef)
            for child in node.body:
                self._statement(child, inner, is_at_import and is_class)
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        for name, value in ast.iter_fields(node):
            if name == "annotation":
                continue
            is_test = name == "test"
            for child in value if isinstance(value, list) else [value]:
                match child:
                    case ast.stmt():
                        self._statement(child, function, is_at_import)
                    case ast.ExceptHandler():
                        for handled in child.body:
                            self._statement(handled, function, is_at_import)
                    case ast.match_case():
                        self._case(child, node, function, is_at_import)
                    case ast.withitem():
                        span = Span(child.context_expr, node, function, is_at_import)
                        self._expression(span, Position.VALUE)
                    case ast.expr():
                        span = Span(child, node, function, is_at_import)
                        self._expression(span, Position.TEST if is_test else Position.VALUE)
        self._table(node)
        self._returned_tuple(node, function)

    def _case(self, case: ast.match_case, match: ast.stmt, function: str, at_import: bool) -> None:
        if case.guard is not None:
            self._expression(Span(case.guard, match, function, at_import), Position.TEST)
        elif not (isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None):
            span = Span(case.pattern, match, function, at_import)
            was = ast.unparse(case.pattern)
            dropped = f"{was} if False"
            self._add(span, f"case {was}", dropped, dropped)
        if isinstance(case.pattern, ast.MatchOr):
            span = Span(case.pattern, match, function, at_import)
            for kept in _without_each(case.pattern.patterns):
                becomes = " | ".join(ast.unparse(pattern) for pattern in kept)
                was = ast.unparse(case.pattern)
                self._add(span, f"case {was}", becomes, becomes)
        for statement in case.body:
            self._statement(statement, function, at_import)

    def _expression(self, span: Span, position: Position) -> None:
        """Find the outermost guards, each a root that is replaced as a whole."""
        node = span.root
        assert isinstance(node, ast.expr)
        if position is Position.TEST or _is_boolean(node) or isinstance(node, ast.Set):
            self._root(span, position)
            return
        for flag in _flags(node):
            self._add(replace(span, root=flag), "ConsistentRead=True", "False")
        for child, child_position in _children(node):
            self._expression(replace(span, root=child), child_position)

    def _root(self, span: Span, position: Position) -> None:
        node = span.root
        assert isinstance(node, ast.expr)
        was = ast.unparse(node)
        seen = {was}
        for old, new in _edits(node, position):
            becomes = ast.unparse(_replaced(node, old, new))
            if becomes not in seen:
                seen.add(becomes)
                self._add(span, was, becomes)

    def _add(self, span: Span, was: str, becomes: str, text: str | None = None) -> None:
        self._found.append(self._module.mutant(span, was, becomes, text))

    # -- tables and tuples ---------------------------------------------------------------------

    def _table(self, node: ast.stmt) -> None:
        """A table of transitions: every refusal admits, every admission refuses."""
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if not isinstance(target, ast.Name) or not target.id.endswith("_TRANSITIONS"):
            return
        for found in ast.walk(node):
            pairs: list[tuple[ast.expr | None, ast.expr]] = []
            if isinstance(found, ast.Dict):
                pairs = list(zip(found.keys, found.values, strict=True))
            elif isinstance(found, ast.DictComp):
                pairs = [(found.key, found.value)]
            for key, value in pairs:
                if not isinstance(key, ast.Tuple):
                    continue
                status = ast.unparse(key.elts[0])
                was = ast.unparse(value)
                is_admission = isinstance(value, ast.Attribute)
                becomes = "Refused('mutant')" if is_admission else status
                span = Span(value, node, f"{target.id}[{ast.unparse(key)[1:-1]}]", True)
                self._add(span, was, becomes)

    def _returned_tuple(self, node: ast.stmt, function: str) -> None:
        if not isinstance(node, ast.Return) or not isinstance(node.value, ast.Tuple):
            return
        if function not in self._compared:
            return
        span = Span(node.value, node, function, False)
        for index in range(len(node.value.elts)):
            elements = list(node.value.elts)
            elements[index] = ast.Constant(None)
            becomes = ast.unparse(ast.Tuple(elements, ast.Load()))
            self._add(span, ast.unparse(node.value), becomes)


# -- expressions ---------------------------------------------------------------------------------


def _edits(node: ast.expr, position: Position) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield each part of the expression that guards something, and what weakens it."""
    is_truth = isinstance(node, ast.Compare) or _is_not(node)
    if position is Position.TEST or (position is Position.VALUE and is_truth):
        yield node, _known(node, True)
        yield node, _known(node, False)
    if isinstance(node, ast.BoolOp):
        for kept in _without_each(node.values):
            yield node, kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)
    if isinstance(node, ast.Set):
        for elements in _without_each(node.elts):
            yield node, ast.Set(elements)
    if isinstance(node, ast.Compare):
        yield from ((node, weaker) for weaker in _weaker_comparisons(node))
    is_inside = isinstance(node, ast.BoolOp) or _is_not(node)
    for child, child_position in _children(node):
        yield from _edits(child, Position.OPERAND if is_inside else child_position)


def _known(node: ast.expr, truth: bool) -> ast.expr:
    """Return the truth value; a name that the test binds is still bound."""
    if not any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(node)):
        return ast.Constant(truth)
    return ast.BoolOp(ast.Or() if truth else ast.And(), [node, ast.Constant(truth)])


def _weaker_comparisons(node: ast.Compare) -> Iterator[ast.Compare]:
    for index, operator in enumerate(node.ops):
        if swap := _SWAPS.get(type(operator)):
            operators = [*node.ops[:index], swap(), *node.ops[index + 1 :]]
            yield ast.Compare(node.left, operators, node.comparators)
    if len(node.ops) != 1 or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
        return
    left, right = node.left, node.comparators[0]
    if not isinstance(left, ast.Tuple):
        left, right = right, left
    if not isinstance(left, ast.Tuple):
        return
    for index in range(len(left.elts)):
        # A comparison with itself compares nothing.
        same: ast.expr = ast.Subscript(right, ast.Constant(index), ast.Load())
        if isinstance(right, ast.Tuple):
            same = right.elts[index]
        elements = [*left.elts[:index], same, *left.elts[index + 1 :]]
        yield ast.Compare(ast.Tuple(elements, ast.Load()), node.ops, [right])


def _children(node: ast.AST) -> Iterator[tuple[ast.expr, Position]]:
    """Yield the expressions right below, with their roles in this one."""
    if isinstance(node, ast.JoinedStr):
        return
    for name, value in ast.iter_fields(node):
        is_test = name == "test" or (isinstance(node, ast.comprehension) and name == "ifs")
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.expr):
                yield child, Position.TEST if is_test else Position.VALUE
            elif isinstance(child, ast.comprehension | ast.keyword):
                yield from _children(child)


def _flags(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the truth of each `ConsistentRead` that a call or a dict gives."""
    pairs: list[tuple[object, ast.expr]] = []
    if isinstance(node, ast.Call):
        pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
    elif isinstance(node, ast.Dict):
        pairs = [
            (key.value, value)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant)
        ]
    yield from (value for name, value in pairs if name == "ConsistentRead")


def _is_boolean(node: ast.expr) -> bool:
    return isinstance(node, ast.BoolOp | ast.Compare) or _is_not(node)


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _without_each(parts: Sequence[Part]) -> Iterator[list[Part]]:
    for index in range(len(parts)):
        yield [*parts[:index], *parts[index + 1 :]]


def _replaced(node: Any, old: ast.expr, new: ast.expr) -> Any:
    """Return a copy of the tree with another part; the tree stays as it is."""
    if node is old:
        return new
    if isinstance(node, list):
        return [_replaced(item, old, new) for item in node]
    if not isinstance(node, ast.AST):
        return node
    fields = {name: _replaced(value, old, new) for name, value in ast.iter_fields(node)}
    return type(node)(**fields)


def _only_compared(tree: ast.Module) -> set[str]:
    """Return the functions whose calls are all compared, or part of what such a one returns."""
    uses: dict[str, set[str]] = {}

    def visit(node: ast.AST, function: str, place: str) -> None:
        inner = ""
        match node:
            case ast.FunctionDef():
                function = node.name
            case ast.Compare():
                inner = "=="
            case ast.Return(value=ast.Tuple()):
                inner = function
            case ast.Tuple():
                inner = place
            case ast.Call(func=ast.Name(id=called)):
                uses.setdefault(called, set()).add(place)
        for child in ast.iter_child_nodes(node):
            visit(child, function, inner)

    visit(tree, "", "")
    found = set(uses)
    while worse := {name for name in found if not uses[name] <= found | {"=="}}:
        found -= worse
    return found
