"""Processes of the emulator share the unpacked files of the same archive."""

from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shiftwork.local.run_ministack import SharedArchive


class Unpacker:
    """Does what the emulator does for each process that it starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder / "unpacked"
        self._root.mkdir()

    def unpack(self, process: str, content: dict[str, str]) -> tuple[Path, list[str]]:
        """Return the folder of the archive's content for the process, and the names checked."""
        archive, place = self._folder / f"{process}.zip", self._folder / process
        with zipfile.ZipFile(archive, "w") as new:
            for name, text in content.items():
                new.writestr(zipfile.ZipInfo(name), text)
        place.mkdir()
        with SharedArchive(archive, self._root) as found:
            names = found.namelist()
            found.extractall(str(place))
        return place, names


@pytest.fixture
def unpacker(tmp_path: Path) -> Unpacker:
    return Unpacker(tmp_path)


def test_two_processes_with_the_same_layer_share_its_files(unpacker: Unpacker) -> None:
    first, checked = unpacker.unpack("first", {"python/a.py": "a = 1"})
    second, checked_again = unpacker.unpack("second", {"python/a.py": "a = 1"})
    assert (first / "python/a.py").read_text() == "a = 1"
    assert (first / "python/a.py").samefile(second / "python/a.py")
    assert (checked, checked_again) == (["python/a.py"], [])


def test_a_changed_layer_is_unpacked_again(unpacker: Unpacker) -> None:
    first, _ = unpacker.unpack("first", {"a.py": "a = 1"})
    second, checked = unpacker.unpack("second", {"a.py": "a = 2"})
    assert [(place / "a.py").read_text() for place in (first, second)] == ["a = 1", "a = 2"]
    assert checked == ["a.py"]


def test_processes_that_start_at_the_same_time_all_find_every_file(unpacker: Unpacker) -> None:
    content = {f"python/{n}.py": f"n = {n}" for n in range(50)}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: unpacker.unpack(f"process-{n}", content), range(16)))
    for place, _ in found:
        assert {f"python/{file.name}" for file in (place / "python").iterdir()} == content.keys()


def test_a_half_unpacked_archive_is_not_used(
    unpacker: Unpacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(archive: zipfile.ZipFile, folder: Path, *_: object) -> None:
        folder.mkdir()
        raise OSError("no space left")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(zipfile.ZipFile, "extractall", fail)
        unpacker.unpack("first", {"a.py": "a = 1"})
    second, _ = unpacker.unpack("second", {"a.py": "a = 1"})
    assert (second / "a.py").read_text() == "a = 1"
