"""Modules of callbacks register their own, and one that cannot be imported spoils no other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shiftwork_core.callbacks import BROKEN_MODULES, CALLBACKS, register_all

GOOD = """
from shiftwork_core.callbacks import callback

@callback("good.one")
def one(job):
    return {}
"""


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    kept = dict(CALLBACKS)
    yield
    CALLBACKS.clear()
    CALLBACKS.update(kept)
    BROKEN_MODULES.clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unlogged: None) -> Path:
    """A package with one good module; tests add others."""
    folder = tmp_path / f"callbacks_of_{tmp_path.name}"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "good.py").write_text(GOOD)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import gone_for_good", "ModuleNotFoundError: No module named 'gone_for_good'"),
        ("def (", "SyntaxError: "),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (GOOD.replace("one", "two") + "1 / 0", "ZeroDivisionError: division by zero"),
        (GOOD.replace("def one", "def other"), "ValueError: two callbacks are named 'good.one'"),
    ],
    ids=["needs what is missing", "is no Python", "exits", "breaks off", "takes a name again"],
)
def test_a_module_that_cannot_be_imported_takes_its_own_callbacks_alone_with_it(
    package: Path, text: str, why: str
) -> None:
    (package / "worse.py").write_text(text)
    register_all(package.name, [str(package)])
    assert "good.one" in CALLBACKS
    assert "good.two" not in CALLBACKS
    [(module, told)] = BROKEN_MODULES.items()
    assert module == f"{package.name}.worse"
    assert told.startswith(why)
    assert module not in sys.modules
