"""Make a project: a small one that runs, to be changed into one's own."""

from __future__ import annotations

from pathlib import Path

from shiftwork.api.errors import ShiftworkError
from shiftwork_platform.project import NAME

_STARTER = Path(__file__).parent / "starter"


class NoStart(ShiftworkError):
    """A project cannot be made there."""


def create(parent: Path, name: str) -> Path:
    """Make a project in a new folder of this name; return the folder.

    Raises
    ------
    NoStart
        If the name is none, or the folder has something in it.
    """
    if not NAME.fullmatch(name):
        raise NoStart(
            f"{name[:60]!r} is no name for a project: it goes into the names of stacks",
            "Give one of lower-case letters, digits and dashes, such as billing",
        )
    folder = parent / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NoStart(f"{folder} has something in it", "Give another name, or move it away")
    for source in sorted(_STARTER.rglob("*")):
        place = source.relative_to(_STARTER)
        if source.is_dir() or "__pycache__" in place.parts:
            continue
        target = folder / (".gitignore" if place.name == "gitignore" else place)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text(encoding="utf-8").replace("{name}", name))
    return folder
