"""A mutant: one change of the code."""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mutant:
    """A part of a module's text, and its replacement.

    `was` and `becomes` are the whole test for people to read; `text` replaces the bytes from
    `start` to `end`.
    """

    file: Path
    #: The lines whose execution meets the change: of the statement up to the change's end, or
    #: those that use a name whose value is set at import.
    lines: frozenset[int]
    line: int
    start: int
    end: int
    text: str
    function: str
    was: str
    becomes: str
    #: Whether it is executed when its module is imported; then also the names it gives values.
    is_at_import: bool
    names: frozenset[str]

    @property
    def module(self) -> str:
        """Return the module's path with its packages, without the ending."""
        package = self.file.parent
        while (package.parent / "__init__.py").exists():
            package = package.parent
        return self.file.relative_to(package.parent).with_suffix("").as_posix()

    @property
    def place(self) -> str:
        """Return its file and line."""
        return f"{self.module}.py:{self.line}"

    @property
    def key(self) -> str:
        """Return an id that stays the same while other lines of the module change."""
        parts = (self.module, self.function, self.was, self.becomes)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def source(self) -> str:
        """Return the module with the change."""
        before = self.file.read_bytes()
        return (before[: self.start] + self.text.encode() + before[self.end :]).decode()

    def diff(self) -> str:
        """Return the change as `diff -u` shows it."""
        before, after = self.file.read_text(), self.source()
        name = str(self.file)
        lines = difflib.unified_diff(
            before.splitlines(), after.splitlines(), name, f"{name} (mutant)", lineterm=""
        )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a change goes."""

    root: ast.expr | ast.pattern
    statement: ast.stmt | None
    function: str
    #: Whether it is executed when its module is imported.
    is_at_import: bool


class Module:
    """A module's text and tree."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.text = file.read_bytes()
        self.tree = ast.parse(self.text)
        self._starts = [0]
        for line in self.text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def mutant(self, span: Span, was: str, becomes: str, text: str | None = None) -> Mutant:
        """Return the mutant with `becomes`, or `text`, in place of the span."""
        root = span.root
        assert root.end_lineno is not None and root.end_col_offset is not None
        first = root.lineno if span.statement is None else span.statement.lineno
        lines = range(first, root.end_lineno + 1)
        names = frozenset(self._names_of(span) if span.is_at_import else ())
        return Mutant(
            file=self.file,
            lines=frozenset(self._lines_of(names) if span.is_at_import else lines),
            line=root.lineno,
            start=self._starts[root.lineno - 1] + root.col_offset,
            end=self._starts[root.end_lineno - 1] + root.end_col_offset,
            text=f"({becomes})" if text is None else text,
            function=span.function,
            was=was,
            becomes=becomes,
            is_at_import=span.is_at_import,
            names=names,
        )

    def _names_of(self, span: Span) -> set[str]:
        """Return the names that the statement defines, and those defined from them."""
        names = set(_assigned(span.statement))
        statements = [node for node in self.tree.body if not set(_assigned(node)) & names]
        while more := {n for s in statements if names & _read(s) for n in _assigned(s)} - names:
            names |= more
        return names

    def _lines_of(self, names: frozenset[str]) -> Iterator[int]:
        """Yield the lines of the statements that use one of the names."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.stmt) and names & _read(node):
                yield node.lineno


def _assigned(node: ast.stmt | None) -> Iterator[str]:
    """Yield the names that a statement of a module gives values."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    yield from (target.id for target in targets if isinstance(target, ast.Name))


def _read(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
