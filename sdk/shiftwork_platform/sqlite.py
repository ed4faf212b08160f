"""Keep the tables of a deployment in a file: what a call of a store has written survives `kill -9`.

Rows are read once, when the file is opened; from then on they are in memory. A call of a store
returns once the file has what the call has read and changed. Calls that end while another's changes
are being written share the next transaction.
"""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator, MutableSet
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from threading import Lock, RLock
from typing import Any, SupportsIndex

from shiftwork.api.errors import ShiftworkError
from shiftwork_core.adapters.memory import MemoryTables

#: Is raised with each change of what rows are made of: a file of another number is not read.
SCHEMA = 2

_GONE = object()
#: The tables: every field of `MemoryTables` that holds rows.
_TABLES = tuple(one.name for one in fields(MemoryTables) if one.name != "lock")


class OtherSchema(ShiftworkError):
    """The file was written by a version of the platform whose rows are made of something else."""


#: What is to be written, or `_GONE`, by table and key.
Changes = dict[tuple[str, tuple[Any, ...]], Any]


class Journal:
    """What has changed since the last transaction."""

    def __init__(self) -> None:
        self.changes: Changes = {}
        #: How many changes there have been so far.
        self.count = 0

    def note(self, table: str, place: tuple[Any, ...], value: Any) -> None:
        """Note that a value is to be written, or, if it is `_GONE`, deleted."""
        self.changes[table, place] = value
        self.count += 1


class _Rows(dict[Any, Any]):
    """The rows of a table, or of a part of it: each change is noted."""

    def __init__(self, journal: Journal, table: str, place: tuple[Any, ...] = ()) -> None:
        super().__init__()
        self._journal = journal
        self._table = table
        self._place = place

    def load(self, place: tuple[Any, ...], value: Any) -> None:
        """Hold a row that was read: it is no change."""
        key, *rest = place
        if not rest:
            super().__setitem__(key, value)
            return
        if key not in self:
            super().__setitem__(key, _Rows(self._journal, self._table, (*self._place, key)))
        self[key].load(tuple(rest), value)

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(value) is dict:
            part = _Rows(self._journal, self._table, (*self._place, key))
            super().__setitem__(key, part)
            for name, one in value.items():
                part[name] = one
            return
        super().__setitem__(key, value)
        self._journal.note(self._table, (*self._place, key), value)

    def __delitem__(self, key: Any) -> None:
        value = self[key]
        if isinstance(value, _Rows):
            value.clear()
        super().__delitem__(key)
        self._journal.note(self._table, (*self._place, key), _GONE)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """See `dict`."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        """See `dict`."""
        if key not in self and default:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[Any, Any]:
        """See `dict`."""
        key = next(reversed(self))
        return key, self.pop(key)

    def update(self, *others: Any, **named: Any) -> None:
        """See `dict`."""
        for key, value in dict(*others, **named).items():
            self[key] = value

    def __ior__(self, other: Any) -> _Rows:  # type: ignore[misc]  # It takes less.
        self.update(other)
        return self

    def clear(self) -> None:
        """See `dict`."""
        for key in list(self):
            del self[key]

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return dict, (dict(self),)


class _Keys(MutableSet[Any]):
    """A set of keys: each change is noted."""

    def __init__(self, journal: Journal, table: str) -> None:
        self._journal = journal
        self._table = table
        self._keys: set[Any] = set()

    def load(self, place: tuple[Any, ...], value: Any) -> None:
        """Hold a key that was read."""
        self._keys.add(place[0])

    def add(self, value: Any) -> None:
        """See `set`."""
        self._keys.add(value)
        self._journal.note(self._table, (value,), True)

    def discard(self, value: Any) -> None:
        """See `set`."""
        self._keys.discard(value)
        self._journal.note(self._table, (value,), _GONE)

    def __contains__(self, value: object) -> bool:
        return value in self._keys

    def __iter__(self) -> Iterator[Any]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class _CommittingLock:
    """The lock of the tables: who leaves it goes on once the file has all changes so far.

    Also those of others: what a call has seen must not be lost.
    """

    def __init__(self, journal: Journal, write: Callable[[Changes], None]) -> None:
        self._journal = journal
        self._write = write
        self._lock = RLock()
        self._depth = 0
        # Who holds it writes; it is never waited for by who holds the other.
        self._writing = Lock()
        self._written = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        is_last, seen = self._depth == 0, self._journal.count
        self._lock.release()
        if is_last and seen > self._written:
            self._have_written(seen)

    def _have_written(self, seen: int) -> None:
        with self._writing:
            if seen <= self._written:
                return
            with self._lock:
                changes, self._journal.changes = self._journal.changes, {}
                count = self._journal.count
            try:
                self._write(changes)
            except BaseException:
                with self._lock:
                    self._journal.changes = {**changes, **self._journal.changes}
                raise
            self._written = count


class SqliteTables(MemoryTables):
    """The tables of a deployment, in a file.

    Raises
    ------
    OtherSchema
        If another version has written the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._journal = Journal()
        self._file = _open(path)
        for name in _TABLES:
            kind = _Keys if isinstance(getattr(self, name), set) else _Rows
            setattr(self, name, kind(self._journal, name))
        for table, place, value in self._stored():
            getattr(self, table).load(place, value)
        lock: Any = _CommittingLock(self._journal, self._write)
        self.lock = lock

    def close(self) -> None:
        """Close the file; all is written already."""
        self._file.close()

    def _stored(self) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
        rows: Iterable[tuple[str, bytes, bytes]] = self._file.execute(
            "SELECT name, place, value FROM rows ORDER BY id"
        )
        for table, place, value in rows:
            yield table, pickle.loads(place), pickle.loads(value)

    def _write(self, changes: Changes) -> None:
        gone, put = [], []
        for (table, place), value in changes.items():
            key = table, _key(place)
            if value is _GONE:
                gone.append(key)
            else:
                put.append((*key, pickle.dumps(value)))
        with self._file:
            self._file.executemany("DELETE FROM rows WHERE name = ? AND place = ?", gone)
            self._file.executemany(
                "INSERT INTO rows (name, place, value) VALUES (?, ?, ?)"
                " ON CONFLICT (name, place) DO UPDATE SET value = excluded.value",
                put,
            )


def _key(place: tuple[Any, ...]) -> bytes:
    """Return a key's bytes: the same for equal keys, whichever objects they are made of."""
    buffer = BytesIO()
    pickler = pickle.Pickler(buffer)
    pickler.fast = True  # It remembers no object, so that a text that comes twice is written twice.
    pickler.dump(place)
    return buffer.getvalue()


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = sqlite3.connect(path, check_same_thread=False)
    file.execute("PRAGMA journal_mode = WAL")
    # What is committed survives the process; only a crash of the machine may take the last of it.
    file.execute("PRAGMA synchronous = NORMAL")
    [(schema,)] = file.execute("PRAGMA user_version").fetchall()
    if schema not in (0, SCHEMA):
        raise OtherSchema(
            f"{path} was written by another version (its schema is {schema}, not {SCHEMA})",
            "Forget it with --fresh, or go back to that version",
        )
    with file:
        file.execute(
            "CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, name TEXT NOT NULL,"
            " place BLOB NOT NULL, value BLOB NOT NULL, UNIQUE (name, place))"
        )
        file.execute(f"PRAGMA user_version = {SCHEMA}")
    return file
