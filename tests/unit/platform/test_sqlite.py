"""The file of tables: what is written at once, what survives, and what is not read."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
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


def test_a_file_of_another_schema_is_not_read(path: Path) -> None:
    SqliteTables(path).close()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(OtherSchema, match="its schema is 99") as refused:
        SqliteTables(path)
    assert "--fresh" in refused.value.next_step
