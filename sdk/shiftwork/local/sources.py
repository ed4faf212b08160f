"""Find what is built and deployed: a checkout, or a project put together with the platform."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftwork.api.errors import ShiftworkError
from shiftwork.local.errors import LocalStackError
from shiftwork.platform_package import platform


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of a checkout, or of a project.

    Attributes
    ----------
    root
        The folder whose `.shiftwork` has tools, builds and the state of the local stack.
    project
        The project; None: `root` is a checkout, whose tree is built as it is.
    """

    root: Path
    project: Any = field(default=None, compare=False)

    @classmethod
    def find(cls, start: Path) -> Sources:
        """Return the sources of the nearest checkout or project, from `start` upwards.

        Raises
        ------
        LocalStackError
            If there is neither, or a project's settings are wrong.
        """
        checkout = _checkout_of(start)
        try:
            project = platform("project").find(start)
        except ShiftworkError as error:
            if checkout is not None:
                return cls(checkout)
            raise LocalStackError(error.message, error.next_step) from error
        if checkout is not None and checkout.is_relative_to(project.root):
            return cls(checkout)
        return cls(project.root, project)

    @property
    def cache(self) -> Path:
        """The folder of tools and builds."""
        return self.root / ".shiftwork"

    @property
    def folder(self) -> Path:
        """The folder that `tree` makes and returns."""
        return self.root if self.project is None else self.cache / "tree"

    def tree(self, stage: str | None = None) -> Path:
        """Return the folder of template.yaml; a project's is put together each time.

        Raises
        ------
        LocalStackError
            If a part of the project is missing, or it has no such stage.
        """
        tree = self.folder
        if self.project is None:
            return tree
        try:
            if stage is not None:
                platform("project").stack_name(self.project, stage)
            platform("assembling").assemble(self.project, tree)
        except ShiftworkError as error:
            raise LocalStackError(error.message, error.next_step) from error
        return tree

    def settings(self) -> dict[str, str]:
        """Return SHIFTWORK_SERVICES as the project's settings have it; nothing without services."""
        services = self.project.services if self.project else {}
        return {"SHIFTWORK_SERVICES": json.dumps(services)} if services else {}


def find_checkout(start: Path) -> Path:
    """Return the nearest checkout, from `start` upwards.

    Raises
    ------
    LocalStackError
        If there is none.
    """
    found = _checkout_of(start)
    if found is None:
        raise LocalStackError(
            f"{start} is not inside a checkout of Shiftwork, which has the demos.",
            "change to the folder that holds template.yaml",
        )
    return found


def _checkout_of(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        if (folder / "template.yaml").is_file() and (folder / "functions").is_dir():
            return folder
    return None
