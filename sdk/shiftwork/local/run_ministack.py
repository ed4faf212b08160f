"""Runs ministack so that it unpacks each archive once, and not anew for every process it starts.

The emulator's own Python runs this file, which sees nothing of this package. A function's layers
are some five thousand files: unpacking them takes ministack one to two seconds in which it does
little else, so a handful of cold starts used to keep a small machine from its work. As on AWS,
processes now share what is in /opt; none may write there.
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Self

_LOCK = Lock()


class UnpackedOnce:
    """An archive on disk, whose content is a link to what was unpacked of its like before.

    It is what the emulator needs of a `zipfile.ZipFile`.
    """

    def __init__(self, file: Path, root: Path) -> None:
        self._file = file
        with file.open("rb") as content:
            self._unpacked = root / hashlib.file_digest(content, "sha256").hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def namelist(self) -> list[str]:
        """Return the names that are to be unpacked: none of what has been."""
        if self._unpacked.exists():
            return []
        with zipfile.ZipFile(self._file) as archive:
            return archive.namelist()

    def extractall(self, path: str) -> None:
        """Put a link in the place of the empty folder `path`, and remove the archive."""
        with _LOCK:
            if not self._unpacked.exists():
                new = self._unpacked.with_suffix(".new")
                with zipfile.ZipFile(self._file) as archive:
                    archive.extractall(new)
                new.rename(self._unpacked)
        target = Path(path)
        target.rmdir()
        target.symlink_to(self._unpacked)
        self._file.unlink()


def main() -> None:
    """Run ministack until it is told to end."""
    # They are found in the emulator's environment only.
    from ministack.app import main as run  # type: ignore[import-not-found]
    from ministack.core import lambda_runtime  # type: ignore[import-not-found]

    root = Path(tempfile.gettempdir()) / "unpacked"
    root.mkdir(exist_ok=True)
    shared = {"ZipFile": lambda file: UnpackedOnce(Path(file), root)}
    lambda_runtime.zipfile = SimpleNamespace(**vars(zipfile) | shared)
    run()


if __name__ == "__main__":
    main()
