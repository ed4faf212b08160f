"""Read the items of one block of a manifest."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from shiftwork_core.domain.json_bounds import TOO_DEEP, faults_in
from shiftwork_core.domain.json_texts import NotJson, decoded
from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests.manifests.grammars import BLANK, FIND_RECORD
from shiftwork_core.domain.requests.manifests.places import (
    MAX_RECORD_BYTES,
    ManifestFault,
    Syntax,
)

# A field may be as long as its record. The setting is one of the process; nobody else reads CSV.
csv.field_size_limit(MAX_RECORD_BYTES)


@dataclass(frozen=True, slots=True)
class Item:
    """What a record says: a JSON value, or the texts of a CSV's row under its columns' names."""

    value: Json


@dataclass(frozen=True, slots=True)
class ItemFault:
    """Why a record cannot be read: its job fails with that, and no other does."""

    message: str


def items_of(
    data: bytes, syntax: Syntax, columns: Sequence[str], count: int
) -> list[Item | ItemFault]:
    """Return what each record of a block says, in their order.

    Parameters
    ----------
    data:
        The bytes of a cut.
    columns:
        The names of a CSV's columns.
    count:
        The records that were found there when the cut was made.

    Raises
    ------
    ManifestFault
        If there are more or fewer now.
    """
    read: Callable[[str], Json] = _json_of
    if syntax is Syntax.CSV:
        read = partial(_row_of, columns)
    items = [_item_of(record, read) for record in _records(data, syntax)]
    if len(items) != count:
        raise ManifestFault(
            f"the block of the manifest has {len(items):,} records, and had {count:,} when it was"
            " planned: leave a manifest unchanged while a request uses it, and submit a new request"
        )
    return items


def _records(data: bytes, syntax: Syntax) -> Iterator[bytes]:
    """Yield the records; of what is no record to its end, all that is left."""
    find = FIND_RECORD[syntax]
    data += b"\n"  # The last record of a manifest may lack it.
    position = 0
    while found := find(data, position):
        position = found.end()
        yield found[1]
    if rest := data[position:].strip(BLANK[syntax]):
        yield rest


def _item_of(record: bytes, read: Callable[[str], Json]) -> Item | ItemFault:
    try:
        return Item(read(record.decode()))
    except UnicodeDecodeError as error:
        return ItemFault(f"the record is not UTF-8 at its byte {error.start + 1:,}")
    except RecursionError:
        return ItemFault(f"the record is {TOO_DEEP}")
    except (NotJson, _NoRow) as error:
        return ItemFault(str(error))


def _json_of(line: str) -> Json:
    value = decoded(line, "the record")
    if fault := next(faults_in(value), None):
        raise NotJson(f"{fault.path or 'the record'}: {fault.message}")
    return value


class _NoRow(Exception):
    """A record is not a row of the CSV's columns."""


def _row_of(columns: Sequence[str], record: str) -> Json:
    try:
        (row,) = csv.reader((record.removesuffix("\r"),), strict=True)
    except csv.Error as error:
        raise _NoRow(f"the record is not CSV as RFC 4180 has it: {error}") from error
    if len(row) != len(columns):
        raise _NoRow(f"the record has {len(row):,} fields, and the header has {len(columns):,}")
    return dict(zip(columns, row, strict=True))
