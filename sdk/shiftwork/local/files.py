"""Find the project's folder, lock files, and hash sources."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shiftwork.local.errors import LocalStackError

#: Folders that tools create among source code.
_LITTER = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


def find_project(start: Path) -> Path:
    """Return the nearest folder, from `start` upwards, with a template.yaml and functions.

    Raises
    ------
    LocalStackError
        If there is none.
    """
    for folder in (start, *start.parents):
        if (folder / "template.yaml").is_file() and (folder / "functions").is_dir():
            return folder
    raise LocalStackError(
        f"{start} is not inside a checkout of Shiftwork, which the local stack is built from.",
        "change to the folder that holds template.yaml",
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's lock in the block; wait for it first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def digest(root: Path, names: Iterable[str], *more: str) -> str:
    """Return a hash of the files and folders `names` below `root`, and of the strings `more`."""
    found = hashlib.sha256()
    for text in more:
        found.update(text.encode() + b"\0")
    for name in names:
        top = root / name
        paths = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
        for path in paths:
            if _LITTER.isdisjoint(path.parts):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                found.update(f"{path.relative_to(root)}\0{content}\0".encode())
    return found.hexdigest()
