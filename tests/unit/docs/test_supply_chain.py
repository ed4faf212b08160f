"""Check the supply chain: what is imported is declared, and what is installed is known by hash."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.docs.pages import ROOT
from tools import supply_chain

LOCKS = supply_chain.LOCKS
#: Parts of the product: their folders, and what declares the packages that they import.
PARTS = {
    "functions": (["functions", "layers/core"], sorted(ROOT.glob("layers/*/requirements.in"))),
    "sdk": (["sdk/shiftwork"], [ROOT / "sdk" / "pyproject.toml"]),
    "platform": (["sdk/shiftwork_platform"], [ROOT / "sdk" / "platform" / "pyproject.toml"]),
}
#: Of this tree; pytest, which loads the plugin; types, which are imported for checks only.
NOT_INSTALLED = re.compile(r"shiftwork(_core|_platform)?|pytest|mypy_boto3_\w+")


def normal(name: str) -> str:
    """Return a package's name as an index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names_in(lines: list[str]) -> set[str]:
    return {normal(found[0]) for line in lines if (found := re.match(r"[\w.-]+", line))}


def declared(file: Path) -> set[str]:
    """Return the packages that a file declares."""
    if file.suffix == ".in":
        return names_in(file.read_text().splitlines())
    project: dict[str, Any] = tomllib.loads(file.read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    return names_in([*project["dependencies"], *(one for extra in extras for one in extra)])


def modules(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each module that the code of a folder imports, by its first name, and who does."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from ((alias.name.partition(".")[0], file) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0], file


@cache
def packages() -> dict[str, set[str]]:
    """Return the packages that have a module, by its name."""
    return {name: set(map(normal, found)) for name, found in packages_distributions().items()}


@pytest.mark.parametrize("part", PARTS)
def test_what_is_imported_is_declared(part: str) -> None:
    folders, files = PARTS[part]
    known = set[str]().union(*map(declared, files))
    imported = {
        name: file
        for folder in folders
        for name, file in modules(ROOT / folder)
        if name in packages() and name not in sys.stdlib_module_names
    }
    missing = {
        name: str(file.relative_to(ROOT))
        for name, file in imported.items()
        if not NOT_INSTALLED.fullmatch(name) and not packages()[name] & known
    }
    assert len(imported) > 3
    assert missing == {}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_each_package_of_a_lock_has_its_hashes(lock: Path) -> None:
    lines = lock.read_text().splitlines()
    pinned = [number for number, line in enumerate(lines) if line and line[0] not in " #"]
    assert pinned
    for number in pinned:
        name, _, version = lines[number].partition("==")
        assert version, name
        hashes = list(takewhile(lambda line: line.startswith("    --hash="), lines[number + 1 :]))
        assert hashes, f"{name} has no hash: make lock"


@pytest.mark.parametrize("place", ["sdk", "sdk/platform"])
def test_the_build_back_end_is_pinned(place: str) -> None:
    build = tomllib.loads((ROOT / place / "pyproject.toml").read_text())["build-system"]
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", one) for one in build["requires"])


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    """Return a report as pip-audit writes it."""
    return {"dependencies": list(packages), "fixes": []}


CLEAN = {"name": "rich", "version": "15.0.0", "vulns": []}
BAD = {
    "name": "jinja2",
    "version": "2.10",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": []}],
}
SKIPPED = {"name": "typer", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("found", "code", "told"),
    [
        (report(CLEAN), 0, "1 packages audited"),
        (report(CLEAN, BAD), 1, "jinja2 2.10: PYSEC-2019-217, mended in: 2.10.1"),
        (report(CLEAN, SKIPPED), 2, "not audited: no data of 1 packages"),
        (report(BAD, SKIPPED), 1, "not audited: no data of 1 packages"),
        (report(), 2, "not audited"),
        (None, 2, "not audited"),
    ],
)
def test_what_could_not_be_audited_is_no_pass(
    found: dict[str, Any] | None,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("shiftwork.local.tools.environment", lambda *_: Path("bin"))
    monkeypatch.setattr(supply_chain, "LOCKS", LOCKS[:1])
    verdict = None if found is None else supply_chain.verdict_of(found)
    monkeypatch.setattr(supply_chain, "_look_up", lambda *_: verdict)
    assert supply_chain.audit() == code
    assert told in capsys.readouterr().out
