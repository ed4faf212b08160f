"""The emulator shares unpacked archives, and shows what functions log as it comes."""

from __future__ import annotations

import json
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shiftwork.local.run_ministack import SharedArchive, in_pages, log_at_once


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


# -- logs ----------------------------------------------------------------------------------------


class Logs:
    """The emulator's CloudWatch Logs, as far as it is used."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.summaries: list[str] = []

    def _create_log_group(self, query: dict[str, Any]) -> None:
        self.group = query["logGroupName"]

    def _create_log_stream(self, query: dict[str, Any]) -> None:
        self.stream = query["logStreamName"]

    def _put_log_events(self, query: dict[str, Any]) -> None:
        assert (query["logGroupName"], query["logStreamName"]) == (self.group, self.stream)
        self.events += query["logEvents"]


def test_a_line_is_in_the_log_group_once_it_is_written_and_no_second_time() -> None:
    logs, seen = Logs(), list[int]()

    def written() -> Any:
        for line in ("one\n", "two\n"):
            yield line
            seen.append(len(logs.events))

    class Worker:
        def _spawn(self) -> None:
            self.config = {"FunctionName": "run-jobs"}
            self._stderr_queue = SimpleNamespace(put=lambda line: None)
            self._proc = SimpleNamespace(stderr=written())

        def _read_stderr(self) -> None:
            raise AssertionError("it is replaced")

    def summarize(function: Any, request_id: str, text: str, error: bool) -> None:
        logs.summaries.append(text)

    functions = SimpleNamespace(_emit_lambda_logs=summarize)
    log_at_once(Worker, functions, logs)
    worker = Worker()
    begun_ms = int(time.time() * 1000)
    worker._spawn()
    worker._read_stderr()
    assert seen == [1, 2]
    assert [event["message"] for event in logs.events] == ["one", "two"]
    assert all(event["timestamp"] >= begun_ms for event in logs.events)
    assert logs.group == "/aws/lambda/run-jobs"
    functions._emit_lambda_logs({}, "an-id", "one\ntwo", False)
    assert logs.summaries == [""]


def test_a_list_of_lines_has_further_pages() -> None:
    def all_events(query: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        events = [{"message": str(n)} for n in range(5)]
        return 200, {}, json.dumps({"events": events[: query["limit"]]}).encode()

    page, pages = in_pages(all_events), []
    query: dict[str, Any] = {"limit": 2}
    while True:
        answer = json.loads(page(query)[2])
        pages.append([event["message"] for event in answer["events"]])
        if "nextToken" not in answer:
            break
        query["nextToken"] = answer["nextToken"]
    assert pages == [["0", "1"], ["2", "3"], ["4"]]


def test_a_list_of_a_group_that_does_not_exist_stays_an_error() -> None:
    assert in_pages(lambda query: (400, {}, b"{}"))({}) == (400, {}, b"{}")
