"""Run ministack so that it unpacks each archive once, not for every process that it starts.

The emulator's own Python runs this file, and cannot import this package. A function's layers have
some five thousand files: unpacking them blocks ministack for one to two seconds, so a few cold
starts would hold up a small machine. As on AWS, processes share what is in /opt; none may write
there.
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


class SharedArchive:
    """An archive on disk that is unpacked as a link to an earlier copy of the same content.

    It has the methods of `zipfile.ZipFile` that the emulator uses.
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
        """Return the names to be unpacked: none if the archive has been unpacked before."""
        if self._unpacked.exists():
            return []
        with zipfile.ZipFile(self._file) as archive:
            return archive.namelist()

    def extractall(self, path: str) -> None:
        """Replace the empty folder `path` by a link, and remove the archive."""
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
    """Run ministack until a signal ends it."""
    # Only the emulator's environment has these packages.
    from ministack.app import main as run  # type: ignore[import-not-found]
    from ministack.core import lambda_runtime  # type: ignore[import-not-found]

    root = Path(tempfile.gettempdir()) / "unpacked"
    root.mkdir(exist_ok=True)
    shared = {"ZipFile": lambda file: SharedArchive(Path(file), root)}
    lambda_runtime.zipfile = SimpleNamespace(**vars(zipfile) | shared)
    run()


if __name__ == "__main__":
    main()
