"""Lock files, and hash sources."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Folders that tools create among source code.
_LITTER = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's lock in the block; wait for it first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_locked(path: Path) -> bool:
    """Whether a process holds the file's lock."""
    if not path.exists():
        return False
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def last_lines(log: Path, characters: int = 2000) -> str:
    """Return the end of a log, without empty lines."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return "\n".join(line for line in lines if line.strip())[-characters:]


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
