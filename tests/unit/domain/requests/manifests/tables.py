"""Manifests for tests: tables as Python's csv writes them, lines as json does; cut anywhere."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import strategies as st

from shiftwork_core.domain.requests.manifests import cutting
from shiftwork_core.domain.requests.manifests.cutting import Cut, cuts, opened
from shiftwork_core.domain.requests.manifests.items import Item, ItemFault, items_of
from shiftwork_core.domain.requests.manifests.places import Syntax

TEXTS = st.text(
    st.one_of(st.sampled_from("\",\r\n \0;'\\aä\u2028"), st.characters(exclude_categories=["Cs"])),
    max_size=8,
)
NAMES = TEXTS.filter(lambda name: bool(name.strip()))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=3),
    max_leaves=5,
)
BLOCKS = st.integers(1, 5)
WINDOWS = st.sampled_from([1, 2, 3, 7, 64])


class _Quoted(csv.excel):
    """Quotes all, since before a line feed alone the writer leaves carriage returns unquoted."""

    quoting = csv.QUOTE_ALL
    lineterminator = "\n"


class _QuotedCrLf(_Quoted):
    lineterminator = "\r\n"


_STYLES = [csv.excel, _Quoted, _QuotedCrLf]


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Return a CSV with a header."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    row = st.lists(TEXTS, min_size=len(names), max_size=len(names))
    rows = [names, *draw(st.lists(row, max_size=12))]
    style = draw(st.sampled_from(_STYLES))
    end = style.lineterminator
    written = []
    for fields in rows:
        file = io.StringIO(newline="")
        csv.writer(file, style).writerow(fields)
        written += [file.getvalue(), end * draw(st.integers(0, 2))]
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return (mark + _ended(draw, "".join(written), end)).encode()


@st.composite
def json_lines(draw: st.DrawFn) -> tuple[bytes, list[Any]]:
    """Return JSON lines and their values."""
    values = draw(st.lists(VALUES, max_size=12))
    end = draw(st.sampled_from(["\r\n", "\n", " \t\n", "\n \n\n"]))
    texts = [json.dumps(value, ensure_ascii=draw(st.booleans())) + end for value in values]
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return (mark + _ended(draw, "".join(texts), end)).encode(), values


def _ended(draw: st.DrawFn, text: str, end: str) -> str:
    """Return the text, perhaps without its last line feed."""
    return text.removesuffix(end) if draw(st.booleans()) else text


@st.composite
def torn(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Return the data in pieces, some of which may be empty."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[start:end] for start, end in pairwise([0, *places, len(data)])]


def rows_of(table: bytes) -> list[dict[str, str]]:
    """Return the rows that Python's csv reads of the whole."""
    text = io.StringIO(table.decode("utf-8-sig"), newline="")
    names, *rows = (row for row in csv.reader(text) if row)
    return [dict(zip(names, row, strict=True)) for row in rows]


def in_blocks(
    data: bytes, pieces: Sequence[bytes], syntax: Syntax, block: int, window: int = 1
) -> Iterator[tuple[Cut, list[Item | ItemFault]]]:
    """Yield each block of a manifest, with its items, scanning so many bytes at once."""
    begun = opened(pieces, syntax)
    assert b"".join(begun.records) == data[begun.start :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "_WINDOW_BYTES", window)
        found = list(cuts(_after(pieces, begun.start), syntax, block, start=begun.start))
    for cut in found:
        yield cut, items_of(data[cut.start : cut.end], syntax, begun.columns, cut.count)


def _after(pieces: Sequence[bytes], start: int) -> Iterator[bytes]:
    """Yield the pieces without their first bytes."""
    for piece in pieces:
        yield piece[start:]
        start = max(0, start - len(piece))
