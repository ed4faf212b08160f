"""Refuse product code that is too long or too deep to read in one sitting: part of `make lint`.

A file has at most 400 lines, a function at most 50 and no more than 3 levels of blocks, a
constructor at most 6 parameters besides `self`. What must exceed a bound says why on the line where
it begins: `# long: <reason>`, for a file on its first line.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("layers/core", "functions", "sdk", "tools")

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_DEPTH = 3
MAX_PARAMETERS = 6

_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_REASON = "# long: "


def faults_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the sentence of every bound that the module exceeds."""
    lines = source.splitlines()
    if len(lines) > MAX_FILE_LINES and not _has_reason(lines, 1):
        yield 1, f"the file has {len(lines)} lines of at most {MAX_FILE_LINES}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if _has_reason(lines, node.lineno):
                continue
            yield from ((node.lineno, fault) for fault in _faults_of_function(node))


def _faults_of_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    if length > MAX_FUNCTION_LINES:
        yield f"{node.name} has {length} lines of at most {MAX_FUNCTION_LINES}"
    depth = _depth(node.body)
    if depth > MAX_DEPTH:
        yield f"{node.name} is nested {depth} blocks deep, {MAX_DEPTH} are the most"
    count = len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]) - 1
    if node.name == "__init__" and count > MAX_PARAMETERS:
        yield f"the constructor has {count} parameters of at most {MAX_PARAMETERS}"


def _depth(body: list[ast.stmt]) -> int:
    """Return how many blocks enclose the innermost statement; `elif` is as deep as its `if`."""
    return max(map(_depth_of, body), default=0)


def _depth_of(node: ast.stmt) -> int:
    if not isinstance(node, _BLOCKS):
        return 0
    inner = [node.body] if not isinstance(node, ast.Match) else [case.body for case in node.cases]
    beside = 0
    if isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        beside = _depth_of(node.orelse[0])
    else:
        inner.append(getattr(node, "orelse", []))
    if isinstance(node, ast.Try):
        inner += [handler.body for handler in node.handlers]
        inner.append(node.finalbody)
    return max(beside, 1 + max(map(_depth, inner)))


def _has_reason(lines: list[str], number: int) -> bool:
    _, found, reason = lines[number - 1].partition(_REASON)
    return bool(found and reason.strip())


def main() -> int:
    """Print every fault of the product's modules; return 1 if there is one."""
    faulty = 0
    for folder in PRODUCT:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for line, fault in faults_of(file.read_text()):
                print(f"{file.relative_to(ROOT)}:{line}: {fault}")
                faulty += 1
    if faulty:
        print(f"{faulty} too long or too deep: split them, or say why with `{_REASON}<reason>`")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
