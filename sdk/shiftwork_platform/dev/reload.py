"""Load a project's callbacks and definitions, and load them again when a file is saved."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import cache_from_source
from pathlib import Path
from typing import Never

from shiftwork import definition_files
from shiftwork.api.errors import BadDefinitions, Fault
from shiftwork.definition_files import Definition
from shiftwork_core.callbacks import BROKEN_MODULES, CALLBACKS, Callback
from shiftwork_core.domain.requests.definitions import Target
from shiftwork_platform import checking
from shiftwork_platform.project import Project
from shiftwork_platform.tree import ROOT

#: How often files are looked at.
_LOOK_S = 0.2

Stamps = Mapping[Path, int]


class Callbacks:
    """The callbacks of a project as they were last loaded without a fault, module by module."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.RLock()

    def find(self, name: str) -> Callback | None:
        """Return the callback of a name; while modules are loaded again, this waits."""
        with self._lock:
            return CALLBACKS.get(name)

    def load(self) -> Mapping[str, str]:
        """Import every module again; return, by name, why some cannot be imported.

        The callbacks of a module that cannot be imported stay as they were.
        """
        with self._lock:
            before = dict(CALLBACKS)
            CALLBACKS.clear()
            BROKEN_MODULES.clear()
            _forget_modules_of(self._project)
            with _without_bytecode(self._project.callbacks):
                self._project.load_callbacks()
            if BROKEN_MODULES:
                for name, callback in before.items():
                    CALLBACKS.setdefault(name, callback)
            return dict(BROKEN_MODULES)

    def missing(self, types: Iterable[Definition]) -> list[Fault]:
        """Return the job types for which there is no callback, each with its place."""
        return [
            Fault(f"{one.place_of('name')}: name", f"no callback is named {one.name!r}{_hint(one)}")
            for one in types
            if one.kind == "job-type"
            and one.body.get("target") == Target.PYTHON
            and self.find(one.name) is None
        ]


def _hint(definition: Definition) -> str:
    close = get_close_matches(definition.name, CALLBACKS, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def read_definitions(project: Project) -> tuple[list[Definition], list[Fault]]:
    """Return the definitions of a project, or what is wrong with them."""
    try:
        found = definition_files.read(project.definitions)
    except BadDefinitions as error:
        return [], error.faults
    faults = checking.faults_of(found, project.addresses, is_whole=True)
    return ([] if faults else found), faults


@dataclass(slots=True)
class Folder:
    """A folder whose files are loaded, as they were when it was last looked at."""

    path: Path
    suffixes: tuple[str, ...]
    is_deep: bool = True
    seen: Stamps = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look at it: what is saved from now on is a change."""
        self.has_changed()

    def has_changed(self) -> bool:
        """Whether a file was saved, added or removed since the last look."""
        before, self.seen = self.seen, stamps(self.path, self.suffixes, is_deep=self.is_deep)
        return before != self.seen


def watch(folders: Sequence[tuple[Folder, Callable[[], None]]]) -> Never:
    """Call back for each folder whenever it has changed."""
    while True:
        time.sleep(_LOOK_S)
        for folder, changed in folders:
            if folder.has_changed():
                changed()


def stamps(folder: Path, suffixes: tuple[str, ...], *, is_deep: bool = True) -> Stamps:
    """Return when each file was last saved, in nanoseconds; also those of folders in it."""
    return {path: _saved(path) for path in _files(folder, suffixes, is_deep=is_deep)}


def _files(folder: Path, suffixes: tuple[str, ...], *, is_deep: bool) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [
            name for name in folders if is_deep and not name.startswith((".", "__pycache__"))
        ]
        # An editor locks a file by a hidden link to nowhere.
        yield from (
            Path(parent, name)
            for name in names
            if name.endswith(suffixes) and not name.startswith(".")
        )


def _saved(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # It was just replaced, or is a link to nowhere.
        return 0


@contextmanager
def _without_bytecode(folder: Path) -> Iterator[None]:
    """Let the modules of a folder be compiled: Python takes two saves in a second for one."""
    for path in _files(folder, (".py",), is_deep=True):
        with suppress(OSError):
            Path(cache_from_source(path)).unlink(missing_ok=True)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _forget_modules_of(project: Project) -> None:
    """Forget the project's own modules, so that they are imported again; not installed ones."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and name != "__main__" and _is_own(Path(file), project):
            del sys.modules[name]


def _is_own(path: Path, project: Project) -> bool:
    if path.is_relative_to(project.callbacks):
        return True
    is_below = path.is_relative_to(project.root) and not path.is_relative_to(ROOT)
    return is_below and "site-packages" not in path.parts
