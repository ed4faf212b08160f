"""What is loaded again when a file is saved."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shiftwork.definition_files import Definition
from shiftwork_core.callbacks import BROKEN_MODULES, CALLBACKS
from shiftwork_platform import project
from shiftwork_platform.dev.reload import Callbacks, Folder

CODE = """\
from shiftwork_core.callbacks import callback

@callback("say")
def say(job):
    return "AAA"
"""


def is_of_callbacks(module: str) -> bool:
    return module.partition(".")[0] == "callbacks"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "shiftwork.toml").touch()
    (tmp_path / "callbacks").mkdir()
    before, path = dict(CALLBACKS), list(sys.path)
    modules = {name: sys.modules.pop(name) for name in list(sys.modules) if is_of_callbacks(name)}
    yield tmp_path
    for name in filter(is_of_callbacks, list(sys.modules)):
        del sys.modules[name]
    sys.modules.update(modules)
    CALLBACKS.clear()
    CALLBACKS.update(before)
    BROKEN_MODULES.clear()
    sys.path[:] = path


def say(callbacks: Callbacks) -> object:
    found = callbacks.find("say")
    assert found is not None
    return found(None)  # type: ignore[arg-type]  # It looks at no job.


def test_two_saves_in_a_second_are_two(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = root / "callbacks" / "words.py"
    callbacks = Callbacks(project.find(root))
    for word in ("AAA", "BBB"):
        file.write_text(CODE.replace("AAA", word))
        os.utime(file, (1, 1))
        callbacks.load()
        assert say(callbacks) == word


def test_a_broken_module_is_told_with_its_line_and_the_old_callbacks_stay(root: Path) -> None:
    file = root / "callbacks" / "words.py"
    callbacks = Callbacks(project.find(root))
    file.write_text(CODE)
    assert callbacks.load() == {}
    file.write_text(f"import nothing_like_it\n{CODE}")
    [why] = callbacks.load().values()
    assert why.endswith("(at words.py:1)")
    assert say(callbacks) == "AAA"


def test_a_module_that_exits_is_broken_and_ctrl_c_is_not_caught(root: Path) -> None:
    file = root / "callbacks" / "words.py"
    callbacks = Callbacks(project.find(root))
    file.write_text("raise SystemExit(3)")
    assert list(callbacks.load().values()) == ["SystemExit: 3 (at words.py:1)"]
    file.write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        callbacks.load()


def test_a_job_type_without_a_callback_is_told(root: Path) -> None:
    (root / "callbacks" / "words.py").write_text(CODE)
    callbacks = Callbacks(project.find(root))
    callbacks.load()
    types = [
        Definition("job-type", name, {"target": target}, "a.yaml:1")
        for name, target in (("say", "python"), ("sya", "python"), ("other", "worker"))
    ]
    [fault] = callbacks.missing(types)
    assert str(fault) == "a.yaml:1: name: no callback is named 'sya'; did you mean 'say'?"


def test_links_to_nowhere_and_hidden_files_end_no_watch(tmp_path: Path) -> None:
    (tmp_path / ".#words.py").symlink_to("me@host.1:2")
    folder = Folder(tmp_path, (".py",))
    assert not folder.has_changed()
    (tmp_path / "loop.py").symlink_to("loop.py")
    assert folder.has_changed()
    assert not folder.has_changed()
