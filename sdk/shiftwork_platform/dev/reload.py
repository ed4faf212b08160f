"""Load a project's callbacks and definitions, and load them again when a file is saved."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shiftwork import definition_files
from shiftwork.api.errors import BadDefinitions, Fault
from shiftwork.definition_files import Definition
from shiftwork_core.callbacks import BROKEN_MODULES, CALLBACKS, Callback
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
            self._project.load_callbacks()
            if BROKEN_MODULES:
                for name, callback in before.items():
                    CALLBACKS.setdefault(name, callback)
            return dict(BROKEN_MODULES)


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
    seen: Stamps = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look at it: what is saved from now on is a change."""
        self.has_changed()

    def has_changed(self) -> bool:
        """Whether a file was saved, added or removed since the last look."""
        before, self.seen = self.seen, stamps(self.path, self.suffixes)
        return before != self.seen

    def watch(self, changed: Callable[[], None]) -> None:
        """Call back whenever it has changed; this does not return."""
        while True:
            time.sleep(_LOOK_S)
            if self.has_changed():
                changed()


def stamps(folder: Path, suffixes: tuple[str, ...]) -> Stamps:
    """Return when each file was last saved, in nanoseconds."""
    return {path: _saved(path) for path in _files(folder, suffixes)}


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
        yield from (Path(parent, name) for name in names if name.endswith(suffixes))


def _saved(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # It was just replaced.
        return 0


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
