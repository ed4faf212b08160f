"""Find the project that a folder belongs to: its definitions and callbacks.

A project is a folder with a `shiftwork.toml`, or with a `[tool.shiftwork]` in its pyproject.toml.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftwork.api.errors import ShiftworkError
from shiftwork_core.callbacks import register_all

FILE = "shiftwork.toml"


class NoProject(ShiftworkError):
    """A folder belongs to no project, or to one whose settings are wrong."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project: where its parts are."""

    root: Path
    definitions: Path
    callbacks: Path
    #: Where the services are that HTTP jobs call, by name.
    services: Mapping[str, str]

    def load_callbacks(self) -> None:
        """Import every module of the callbacks' folder, so that each registers its own.

        A module that cannot be imported takes only its own callbacks with it: see `register_all`.
        """
        parent, name = str(self.callbacks.parent), self.callbacks.name
        if parent not in sys.path:
            sys.path.insert(0, parent)
        register_all(name, [str(self.callbacks)])


def find(start: Path) -> Project:
    """Return the project that a folder is in.

    Raises
    ------
    NoProject
        If it is in none, or the project's settings are wrong.
    """
    for folder in (start, *start.parents):
        if (settings := _settings_of(folder)) is not None:
            return _project(folder, settings)
    raise NoProject(
        f"{start} is in no project: neither it nor a folder above it has a {FILE}",
        f"Make a {FILE} at the root of your project; it may be empty",
    )


def _settings_of(folder: Path) -> Mapping[str, Any] | None:
    own, shared = folder / FILE, folder / "pyproject.toml"
    try:
        if own.is_file():
            return tomllib.loads(own.read_text(encoding="utf-8"))
        if shared.is_file():
            found = tomllib.loads(shared.read_text(encoding="utf-8")).get("tool", {})
            settings: Mapping[str, Any] | None = found.get("shiftwork")
            return settings
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        file = own if own.is_file() else shared
        raise NoProject(f"{file} is not TOML: {error}", "Correct it") from error
    return None


def _project(root: Path, settings: Mapping[str, Any]) -> Project:
    found: dict[str, Path] = {}
    for part in ("definitions", "callbacks"):
        given = settings.get(part, part)
        if not isinstance(given, str):
            raise NoProject(f"{part} in the settings of {root} is no text", "Name a folder")
        found[part] = root / given
    services = settings.get("services", {})
    if not isinstance(services, dict) or not all(isinstance(v, str) for v in services.values()):
        raise NoProject(
            f"services in the settings of {root} are no names and URLs",
            'Write [services] and, below it, lines such as crm = "https://crm.example.com"',
        )
    return Project(root, **found, services=services)
