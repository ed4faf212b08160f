"""Measure which tests run which lines and how long each takes; cache that until a file changes."""

from __future__ import annotations

import ast
import builtins
import hashlib
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.child import become_silent, options
from tests.mutants.loading import Finder, forget
from tests.mutants.mutant import Mutant
from tests.mutants.scope import Scope

#: Seconds of overhead of each test, roughly.
_EACH_S = 0.02


class BaselineError(Exception):
    """Tests are red without any mutant."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Seconds by test, and tests by line."""

    root: Path
    seconds: dict[str, float]
    tests: dict[str, dict[int, list[str]]]

    def order(self, mutant: Mutant, killers: Mapping[str, str]) -> dict[str, float]:
        """Return the tests that run the mutated lines: first what killed it before.

        Then those that have killed most others in their time. Then the quickest of each file, the
        second quickest of each, and so on: what one test misses, its neighbours mostly miss too.

        Parameters
        ----------
        killers
            The test that killed each mutant, by the mutant's key.
        """
        before = killers.get(mutant.key, "")
        proven = Counter(killer.partition(" (")[0] for killer in killers.values())
        lines = self.tests.get(str(mutant.file), {})
        covering = {test for line in mutant.lines for test in lines.get(line, ())}
        # A test may read a table itself, without running a line that does.
        files = {test.partition("::")[0] for test in self.seconds} if mutant.names else set()
        texts = {file: (self.root / file).read_text() for file in files}
        reading = {file for file in files if any(name in texts[file] for name in mutant.names)}
        covering |= {test for test in self.seconds if test.partition("::")[0] in reading}
        places: Counter[str] = Counter()
        ranks: dict[str, tuple[bool, float, int, float]] = {}
        for test in sorted(covering, key=lambda test: self.seconds[test]):
            file = test.partition("::")[0]
            kills_a_second = proven[test] / (self.seconds[test] + _EACH_S)
            ranks[test] = (
                not before.startswith(test), -kills_a_second, places[file], self.seconds[test]
            )  # fmt: skip
            places[file] += 1
        return {test: self.seconds[test] for test in sorted(ranks, key=lambda test: ranks[test])}


def coverage_of(scope: Scope) -> Coverage:
    """Run all tests once, or read what their last run covered.

    Raises
    ------
    BaselineError
        If one is red.
    """
    kept = scope.cache / "coverage.json"
    digest = _digest(scope)
    if kept.exists():
        found = json.loads(kept.read_text())
        if found["digest"] == digest:
            return _read(scope, found)
    scope.cache.mkdir(exist_ok=True)
    kept.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _measure(scope, kept, digest)
        os._exit(0)
    os.waitpid(child, 0)
    if not kept.exists():
        raise BaselineError("the tests cannot be run: see what pytest says")
    found = json.loads(kept.read_text())
    if found["red"]:
        kept.unlink()
        raise BaselineError("red without any mutant: " + ", ".join(found["red"]))
    return _read(scope, found)


def _read(scope: Scope, found: dict[str, Any]) -> Coverage:
    names = found["names"]
    tests = {
        file: {int(line): [names[number] for number in numbers] for line, numbers in rows.items()}
        for file, rows in found["lines"].items()
    }
    return Coverage(scope.root, found["seconds"], tests)


def _digest(scope: Scope) -> str:
    digest = hashlib.sha256()
    for file in _files(scope):
        digest.update(str(file).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _files(scope: Scope) -> Iterator[Path]:
    yield from sorted(scope.source.rglob("*.py"))
    for folder in scope.tests:
        yield from sorted((scope.root / folder).rglob("*.py"))


class _Watch:
    """A plugin of pytest: it notes which statements each test runs, and how long it takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.lines: dict[tuple[str, int], set[str]] = defaultdict(set)
        self.red: list[str] = []
        self._test = ""

    def hit(self, file: str, line: int) -> None:
        """Note that a statement runs; called before each."""
        self.lines[file, line].add(self._test)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._test = item.nodeid
        started = time.monotonic()
        answer = yield
        self.seconds[item.nodeid] = round(time.monotonic() - started, 4)
        self._test = ""
        return answer

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.red.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.red.append(report.nodeid)


def instrumented(file: Path) -> ast.Module:
    """Return the module with a call of `__hit__` before each statement of its functions.

    coverage.py knows the same, but slows down every library that the tests go through.
    """
    tree = ast.parse(file.read_bytes())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    blocks = [
        block
        for function in functions
        for node in ast.walk(function)
        for name in ("body", "orelse", "finalbody")
        if isinstance(block := getattr(node, name, None), list)
    ]
    for block in {id(block): block for block in blocks}.values():
        noted = [ast.parse(f"__hit__({str(file)!r}, {each.lineno})").body[0] for each in block]
        block[:] = [statement for pair in zip(noted, block, strict=True) for statement in pair]
    return ast.fix_missing_locations(tree)


def _measure(scope: Scope, kept: Path, digest: str) -> None:
    become_silent()
    forget(scope)
    watch = _Watch()
    vars(builtins)["__hit__"] = watch.hit
    codes = {file: instrumented(file) for file in scope.files()}
    sys.meta_path.insert(0, Finder(scope, codes))
    pytest.main([*options(scope), *scope.tests], plugins=[watch])
    names = list(watch.seconds)
    numbers = {name: number for number, name in enumerate(names)}
    lines: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for (file, line), tests in watch.lines.items():
        lines[file][line] = sorted(numbers[test] for test in tests if test)
    found = {
        "digest": digest,
        "red": watch.red,
        "names": names,
        "seconds": watch.seconds,
        "lines": lines,
    }
    kept.write_text(json.dumps(found))
