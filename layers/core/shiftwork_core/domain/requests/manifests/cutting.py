"""Cut a manifest into blocks of records as it streams by, or into chunks to be stored."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from shiftwork_core.domain.requests.blocks import MAX_BLOCK
from shiftwork_core.domain.requests.manifests.grammars import BLANK, FIND_RECORD
from shiftwork_core.domain.requests.manifests.places import (
    MAX_RECORD_BYTES,
    ManifestFault,
    Syntax,
)

#: Who runs a block holds all of it, parsed.
MAX_CUT_BYTES = 16 * MAX_RECORD_BYTES
MAX_HEADER_BYTES = 64 * 1024
MAX_COLUMNS = 1000
#: A chunk ends at so many cuts, however small they are.
MAX_CUTS = 10_000

#: As much is scanned at once. Smaller pieces are joined first: a record that is not complete yet is
#: scanned again with each. A header lies within the first window.
_WINDOW_BYTES = 1024 * 1024
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Opened:
    """A manifest whose first bytes have been read."""

    #: The names of a CSV's columns; none of JSON lines.
    columns: tuple[str, ...]
    #: The byte at which the records begin, after a byte order mark and the header.
    start: int
    #: All bytes from there on.
    records: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Cut:
    """A block of a manifest: the bytes from `start` to before `end`, and how many records it has.

    Each cut begins where the one before ends, and only the last may have fewer than a block.
    """

    start: int
    end: int
    count: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive blocks of a manifest, and where they are in `data`.

    The data is a manifest of the same syntax, without a byte order mark and without a header.
    """

    data: bytes
    cuts: tuple[Cut, ...]


def opened(pieces: Iterable[bytes], syntax: Syntax) -> Opened:
    """Read a manifest's beginning, from its first byte on.

    Raises
    ------
    ManifestFault
        If it is not UTF-8, or a CSV whose header is missing, too long, or has a name twice or
        empty.
    """
    windows = _windows(pieces)
    first = next(windows, b"")
    if first.startswith(_UTF16_MARKS):
        raise ManifestFault("the manifest is UTF-16: store it as UTF-8")
    if first.startswith(_GZIP_MAGIC):
        raise ManifestFault("the manifest is gzip: let its key end with .gz as well")
    start = len(_UTF8_MARK) if first.startswith(_UTF8_MARK) else 0
    columns: tuple[str, ...] = ()
    if syntax is Syntax.CSV:
        columns, start = _header(first, start)
    return Opened(columns, start, chain((first[start:],), windows))


def _header(first: bytes, start: int) -> tuple[tuple[str, ...], int]:
    """Return the names of a CSV's columns, and the byte after them."""
    if not first[start:].strip(BLANK[Syntax.CSV]):
        raise ManifestFault("the manifest is empty: a CSV begins with a line of its columns' names")
    found = FIND_RECORD[Syntax.CSV](first + b"\n", start)
    if found is None or found.end() - start > MAX_HEADER_BYTES:
        raise ManifestFault(
            f"the CSV's header does not end within {MAX_HEADER_BYTES:,} bytes: write the columns'"
            " names on a line of their own, close every quote, and end lines with a line feed"
        )
    try:
        (columns,) = csv.reader((found[1].decode(),), strict=True)
    except (ValueError, csv.Error) as error:
        raise ManifestFault(
            f"the CSV's header cannot be read ({error}): write it as RFC 4180 says, in UTF-8"
        ) from error
    if len(columns) > MAX_COLUMNS:
        raise ManifestFault(f"the CSV has {len(columns):,} columns: {MAX_COLUMNS:,} are the most")
    for number, name in enumerate(columns, 1):
        if not name.strip():
            raise ManifestFault(f"column {number} of the CSV has no name: name it in the header")
        if columns.index(name) < number - 1:
            raise ManifestFault(f"two columns of the CSV are {name[:100]!r}: rename one")
    return tuple(columns), min(found.end(), len(first))


def cuts(
    pieces: Iterable[bytes], syntax: Syntax, block: int, *, start: int = 0, counted: int = 0
) -> Iterator[Cut]:
    """Yield the blocks one after the other, as the manifest's records stream by.

    It holds a window of some megabytes. To go on later, begin at the end of any cut: that yields
    the same cuts as if it had not been interrupted.

    Parameters
    ----------
    pieces:
        The manifest's bytes, in pieces of any size, from `Opened.start` or the end of a cut on.
    block:
        The records of each cut, 1 to `MAX_BLOCK`.
    start:
        The byte at which the pieces begin.
    counted:
        The number of records before that.

    Raises
    ------
    ManifestFault
        If a record or a block is too long, or a quote is never closed. It names the record,
        counted from 1, and the byte.
    """
    if not 1 <= block <= MAX_BLOCK:
        raise ValueError(f"a block has 1 to {MAX_BLOCK:,} records, not {block}")
    begin, end, count = start, start, 0
    for end in _ends(pieces, syntax, start, counted):
        count += 1
        if end - begin > MAX_CUT_BYTES:
            raise ManifestFault(
                f"the {count:,} records of the manifest up to byte {end:,} have more than"
                f" {_megabytes(MAX_CUT_BYTES)} together: set a smaller block, or keep large values"
                " elsewhere and name them here"
            )
        if count == block:
            yield Cut(begin, end, count)
            begin, count = end, 0
    if count:
        yield Cut(begin, end, count)


def chunks(pieces: Iterable[bytes], most_bytes: int, syntax: Syntax, block: int) -> Iterator[Chunk]:
    """Yield the manifest in chunks of whole blocks, to be stored one by one.

    A chunk has at most `most_bytes`, unless one block alone has more, and at most `MAX_CUTS`
    blocks. Two chunks of data are held at most. The parameters and faults are those of `cuts`.
    """
    held = bytearray()

    def holding() -> Iterator[bytes]:
        for piece in pieces:
            held.extend(piece)
            yield piece

    def chunk() -> Chunk:
        begin, end = found[0].start, found[-1].end
        data = bytes(held[: end - begin])
        del held[: end - begin]
        return Chunk(data, tuple(Cut(c.start - begin, c.end - begin, c.count) for c in found))

    found: list[Cut] = []
    for cut in cuts(holding(), syntax, block):
        if found and (cut.end - found[0].start > most_bytes or len(found) == MAX_CUTS):
            yield chunk()
            found.clear()
        found.append(cut)
    if found:
        yield chunk()


def _ends(pieces: Iterable[bytes], syntax: Syntax, start: int, counted: int) -> Iterator[int]:
    """Yield the byte after each record and its line feed."""
    find = FIND_RECORD[syntax]
    # `data` is what has not been cut yet: it begins at byte `at`, and the stream so far at `size`.
    data, at, size = b"", start, start
    # The last record may lack its line feed; another after one that has it is a blank line.
    for window in chain(_windows(pieces), (None,)):
        data += b"\n" if window is None else window
        size += 0 if window is None else len(window)
        position = 0
        while found := find(data, position):
            end = found.end()
            if end - position > MAX_RECORD_BYTES:
                raise _too_long(syntax, counted + 1, at + position)
            position = end
            counted += 1
            yield min(at + end, size)
        at += position
        data = data[position:]
        if len(data) > MAX_RECORD_BYTES:
            raise _too_long(syntax, counted + 1, at)
    if data.strip(BLANK[syntax]):
        raise ManifestFault(
            f"record {counted + 1:,} of the manifest, at byte {at:,}, never ends: close its quote"
        )


def _too_long(syntax: Syntax, number: int, at: int) -> ManifestFault:
    hint = ", and check that its quotes are closed" if syntax is Syntax.CSV else ""
    return ManifestFault(
        f"record {number:,} of the manifest, at byte {at:,}, is longer than"
        f" {_megabytes(MAX_RECORD_BYTES)}, blank lines before it included: keep large values"
        f" elsewhere and name them here{hint}"
    )


def _windows(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes, small pieces joined; the last window may be small, or empty."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _WINDOW_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes // (1024 * 1024)} MB"
