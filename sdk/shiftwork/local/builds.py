"""Name the folder of a build: one for each runtime, processor and set of makefiles.

SAM's cache knows the functions' and layers' sources and nothing else: not for which Python and
which processor the makefiles have fetched packages, nor the makefiles outside of the sources. A
build that shares a cache with another gets that one's packages, which fail on import.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from shiftwork.local.files import digest


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """The folder of one build, with SAM's cache for it.

    Attributes
    ----------
    path
        The folder itself; it need not exist yet.
    makefiles
        The end of its name, which builds by the same makefiles share.
    """

    path: Path
    makefiles: str

    @property
    def template(self) -> Path:
        """The built template, which is what `sam deploy` takes."""
        return self.path / "out" / "template.yaml"

    @property
    def options(self) -> list[str]:
        """The options by which `sam build` uses this folder alone."""
        out, cache = self.path / "out", self.path / "cache"
        return ["--build-dir", str(out), "--cache-dir", str(cache)]

    def remove_others(self, *, keep_runtimes: bool) -> None:
        """Remove the builds beside this one; with `keep_runtimes` only those by other makefiles."""
        for other in self.path.parent.glob("*") if self.path.parent.is_dir() else ():
            is_same_age = other.name.endswith(self.makefiles)
            if other != self.path and not (keep_runtimes and is_same_age):
                shutil.rmtree(other)


def folder_of(builds: Path, tree: Path, python: str, architecture: str) -> BuildFolder:
    """Return the folder in `builds` for a Python (`3.13`) and a processor (`arm64`)."""
    makefiles = digest(tree, sorted(_makefiles(tree)))[:8]
    return BuildFolder(builds / f"python{python}-{architecture}-{makefiles}", makefiles)


def _makefiles(tree: Path) -> list[str]:
    found = [*tree.glob("functions/Makefile"), *tree.glob("layers/*/Makefile")]
    return [str(path.relative_to(tree)) for path in found]
