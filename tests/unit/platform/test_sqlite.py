"""The file of tables: what is written at once, what survives, and what is not read."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_platform.sqlite import OtherSchema, SqliteTables
from tests.template import ROOT

WRITER = """\
import os, signal, sys
from pathlib import Path
from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_platform.sqlite import SqliteTables

tables = SqliteTables(Path(sys.argv[1]))
with tables.lock:
    tables.blobs["a"] = b"1"
    tables.slots["render"] = {}
with tables.lock:
    tables.blobs["b"] = b"2"
    os.kill(os.getpid(), signal.SIGKILL)
"""


KEY = ("r1", AttemptKey(1, 0, 1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "tables.sqlite"


def stored(path: Path) -> int:
    with sqlite3.connect(path) as file:
        [(count,)] = file.execute("SELECT count(*) FROM rows").fetchall()
    return int(count)


def test_what_a_call_has_written_survives_the_death_of_its_process(path: Path) -> None:
    paths = {"PYTHONPATH": f"{ROOT / 'layers' / 'core'}:{ROOT / 'sdk'}"}
    died = subprocess.run([sys.executable, "-c", WRITER, str(path)], env=paths, timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert SqliteTables(path).blobs == {"a": b"1"}


def test_a_call_is_one_transaction_whatever_calls_it_makes(path: Path) -> None:
    tables = SqliteTables(path)
    with tables.lock:
        tables.blobs["a"] = b"1"
        with tables.lock:
            tables.woken.add(KEY)
        assert stored(path) == 0
    assert stored(path) == 2


def test_rows_that_are_deleted_are_gone_also_parts_of_parts(path: Path) -> None:
    tables = SqliteTables(path)
    with tables.lock:
        tables.steps["r1"] = {}
        tables.steps["r1"][1] = "one"  # type: ignore[assignment]  # Any row will do.
        tables.steps["r1"].setdefault(2, "two")  # type: ignore[arg-type]
        tables.woken.add(KEY)
        tables.blobs.update(a=b"1", b=b"2", c=b"3")
        tables.blobs |= {"d": b"4"}
    assert stored(path) == 7
    with tables.lock:
        tables.woken.remove(KEY)
        del tables.steps["r1"]
        assert tables.blobs.popitem() == ("d", b"4")
        assert tables.blobs.pop("a") == b"1"
        assert tables.blobs.pop("a", None) is None
        tables.blobs.clear()
    assert stored(path) == 0
    assert SqliteTables(path).steps == {}


@contextmanager
def kept_from_writing(path: Path) -> Iterator[None]:
    """Let nobody else write to the file within this."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def put(tables: SqliteTables, name: str) -> None:
    with tables.lock:
        tables.blobs[name] = b"1"


def test_calls_that_end_while_another_is_written_share_a_transaction(path: Path) -> None:
    tables = SqliteTables(path)
    commits: list[str] = []
    tables._file.set_trace_callback(lambda text: commits.append(text) if "COMMIT" in text else None)
    calls = [threading.Thread(target=put, args=(tables, name)) for name in "abcdef"]
    with kept_from_writing(path):
        for call in calls:
            call.start()
        while set(tables.blobs) != set("abcdef"):
            calls[0].join(0.001)
        assert stored(path) == 0
    for call in calls:
        call.join(10)
    assert stored(path) == 6
    assert len(commits) == 2


def test_who_has_read_what_is_not_written_yet_waits_for_it(path: Path) -> None:
    tables = SqliteTables(path)
    found: list[bytes] = []

    def read() -> None:
        with tables.lock:
            first = tables.blobs["a"]
        found.append(first)

    calls = [threading.Thread(target=put, args=(tables, "a")), threading.Thread(target=read)]
    with kept_from_writing(path):
        calls[0].start()
        while "a" not in tables.blobs:
            calls[0].join(0.001)
        calls[1].start()
        calls[1].join(0.1)
        assert not found
    for call in calls:
        call.join(10)
    assert found == [b"1"]


def test_what_could_not_be_written_is_written_with_the_next_call(path: Path) -> None:
    tables = SqliteTables(path)
    tables._file.execute("PRAGMA busy_timeout = 0")
    with kept_from_writing(path), pytest.raises(sqlite3.OperationalError, match="locked"):
        put(tables, "a")
    assert stored(path) == 0
    put(tables, "b")
    assert set(SqliteTables(path).blobs) == {"a", "b"}


def test_equal_keys_are_one_row_whichever_objects_they_are_made_of(path: Path) -> None:
    tables = SqliteTables(path)
    twice = "".join(["a", "b"])
    for key in ((twice, twice), (twice, "".join(["a", "b"]))):
        with tables.lock:
            tables.used_tokens[key] = "user"  # type: ignore[index]  # Any key will do.
    assert stored(path) == 1


def test_a_file_of_another_schema_is_not_read(path: Path) -> None:
    SqliteTables(path).close()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(OtherSchema, match="its schema is 99") as refused:
        SqliteTables(path)
    assert "--fresh" in refused.value.next_step
