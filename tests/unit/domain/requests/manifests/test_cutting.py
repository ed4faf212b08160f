"""A manifest is cut into blocks as it streams by, wherever its pieces end."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, islice, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.requests.manifests import cutting
from shiftwork_core.domain.requests.manifests.cutting import (
    MAX_CUT_BYTES,
    Cut,
    chunks,
    cuts,
    opened,
)
from shiftwork_core.domain.requests.manifests.grammars import FIND_RECORD
from shiftwork_core.domain.requests.manifests.items import Item, items_of
from shiftwork_core.domain.requests.manifests.places import MAX_RECORD_BYTES, ManifestFault, Syntax
from tests.unit.domain.requests.manifests.tables import (
    BLOCKS,
    WINDOWS,
    in_blocks,
    json_lines,
    rows_of,
    tables,
    torn,
)

LINES, CSV = Syntax.JSON_LINES, Syntax.CSV
MB = 1024 * 1024


@contextmanager
def held_at_most(megabytes: int) -> Iterator[None]:
    """Check that what is done holds no more at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * MB
    finally:
        tracemalloc.stop()


def ranges(data: bytes, syntax: Syntax = LINES, block: int = 1) -> list[tuple[int, int, int]]:
    return [(cut.start, cut.end, cut.count) for cut in cuts([data], syntax, block)]


# -- whatever the content --------------------------------------------------------------------------


@given(tables(), st.data(), BLOCKS, WINDOWS)
def test_blocks_have_the_rows_that_csv_reads_of_the_whole(
    table: bytes, data: st.DataObject, block: int, window: int
) -> None:
    blocks = [*in_blocks(table, data.draw(torn(table)), CSV, block, window)]
    rows = [Item(row) for row in rows_of(table)]
    assert [item for _, items in blocks for item in items] == rows
    assert [cut.count for cut, _ in blocks] == counts(len(rows), block)


@given(json_lines(), st.data(), BLOCKS, WINDOWS)
def test_blocks_have_the_values_of_all_lines(
    lines: tuple[bytes, list[Any]], data: st.DataObject, block: int, window: int
) -> None:
    content, values = lines
    blocks = [*in_blocks(content, data.draw(torn(content)), LINES, block, window)]
    assert [item for _, items in blocks for item in items] == [Item(value) for value in values]
    assert [cut.count for cut, _ in blocks] == counts(len(values), block)


def counts(records: int, block: int) -> list[int]:
    """Return how many records each block has."""
    whole, rest = divmod(records, block)
    return [block] * whole + [rest] * (rest > 0)


@given(st.one_of(tables(), json_lines().map(lambda lines: lines[0])), st.sampled_from(Syntax))
def test_cutting_goes_on_from_the_end_of_any_cut(content: bytes, syntax: Syntax) -> None:
    try:
        found = list(cuts([content], syntax, 2))
    except ManifestFault:
        return  # As JSON lines are no CSV.
    for number, cut in enumerate(found, 1):
        rest = cuts([content[cut.end :]], syntax, 2, start=cut.end, counted=2 * number)
        assert list(rest) == found[number:]


@given(st.one_of(tables(), json_lines().map(lambda lines: lines[0])), st.sampled_from(Syntax))
def test_cuts_follow_each_other_without_a_gap(content: bytes, syntax: Syntax) -> None:
    try:
        found = list(cuts([content], syntax, 2))
    except ManifestFault:
        return
    assert [cut.start for cut in found] == [0, *(cut.end for cut in found)][: len(found)]
    assert all(cut.end <= len(content) for cut in found)


@given(
    st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"a", b"\0", b" "]), max_size=40),
    st.sampled_from(Syntax),
    BLOCKS,
)
def test_any_bytes_are_cut_alike_whatever_their_pieces_and_read_in_the_same_number(
    parts: list[bytes], syntax: Syntax, block: int
) -> None:
    content = b"".join(parts)

    def told(pieces: list[bytes]) -> list[Cut] | str:
        try:
            return list(cuts(pieces, syntax, block))
        except ManifestFault as fault:
            return str(fault)

    whole = told([content])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "_WINDOW_BYTES", 1)
        assert told(parts) == whole
    for cut in whole if isinstance(whole, list) else []:
        items_of(content[cut.start : cut.end], syntax, ["a"], cut.count)


@given(tables(), st.data(), BLOCKS, st.integers(1, 200))
def test_chunks_are_whole_blocks_with_all_rows(
    table: bytes, data: st.DataObject, block: int, most_bytes: int
) -> None:
    begun = opened(data.draw(torn(table)), CSV)
    rows, count = [], []
    for chunk in chunks(begun.records, most_bytes, CSV, block):
        assert list(chunk.cuts) == list(cuts([chunk.data], CSV, block))
        assert len(chunk.data) <= most_bytes or len(chunk.cuts) == 1
        for cut in chunk.cuts:
            rows += items_of(chunk.data[cut.start : cut.end], CSV, begun.columns, cut.count)
            count.append(cut.count)
    assert rows == [Item(row) for row in rows_of(table)]
    assert count == counts(len(rows), block)


# -- the beginning ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "columns", "start"),
    [
        (b"a,b\n1,2\n", ("a", "b"), 4),
        (b"a,b\r\n1,2\r\n", ("a", "b"), 5),
        (b"\xef\xbb\xbfa,b\n1,2\n", ("a", "b"), 7),
        (b"\n\r\na\n", ("a",), 5),
        (b"a", ("a",), 1),
        (b'"a\n""b""", c \n', ('a\n"b"', " c "), 14),
    ],
)
def test_a_csvs_records_begin_after_its_header(
    content: bytes, columns: tuple[str, ...], start: int
) -> None:
    begun = opened([content], CSV)
    assert (begun.columns, begun.start) == (columns, start)
    assert b"".join(begun.records) == content[start:]


@pytest.mark.parametrize("content", [b"", b"1\n2\n", b"\n1"])
def test_json_lines_begin_at_once_or_after_a_byte_order_mark(content: bytes) -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        begun = opened([mark + content], LINES)
        assert (begun.columns, begun.start) == ((), len(mark))
        assert b"".join(begun.records) == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\r\n\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"a,,b\n", "column 2 of the CSV has no name"),
        (b"a, \n", "column 2 of the CSV has no name"),
        (b"a,b,a\n", "two columns of the CSV are 'a'"),
        (b'a,"b\n1,2\n', "close every quote"),
        (b"a,b\r1,2\r", "cannot be read"),
        (b'a,"b"x\n', "cannot be read"),
        (b"a,\xe4\n", "UTF-8"),
        (b"\xff\xfea\0\n\0", "UTF-16"),
        (b"\x1f\x8b\x08", r"\.gz"),
        (b"x" * 70_000 + b"\n", "65,536 bytes"),
        (b"x" * 70_000, "65,536 bytes"),
        (b",".join(b"%d" % number for number in range(1001)), "1,001 columns"),
    ],
)
def test_a_header_that_names_no_columns_is_a_fault(content: bytes, message: str) -> None:
    with pytest.raises(ManifestFault, match=message):
        opened([content], CSV)


def test_the_longest_header_is_taken() -> None:
    names = [b"%063d" % number for number in range(1000)]
    assert len(opened([b",".join(names) + b"\n"], CSV).columns) == 1000
    longest = b"x" * (64 * 1024 - 1)
    assert opened([longest + b"\n1\n"], CSV).start == 64 * 1024


def test_a_header_that_never_ends_is_a_fault_before_the_stream_ends() -> None:
    with held_at_most(8), pytest.raises(ManifestFault, match="65,536 bytes"):
        opened(repeat(b"x" * MB), CSV)


@pytest.mark.parametrize("content", [b"a,b", b"a,b\n", b"a,b\r\n\r\n\n"])
def test_a_header_alone_has_no_blocks(content: bytes) -> None:
    begun = opened([content], CSV)
    assert list(cuts(begun.records, CSV, 10, start=begun.start)) == []


@pytest.mark.parametrize("content", [b"", b"\n", b" \t\r\n\n  "])
def test_an_empty_object_of_json_lines_has_no_blocks(content: bytes) -> None:
    assert ranges(content) == []


# -- where records end -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "syntax", "expected"),
    [
        (b"1\n2\n3", LINES, [(0, 4, 2), (4, 5, 1)]),
        (b"1\n \n\r\n2\n\n3\n\n", LINES, [(0, 8, 2), (8, 11, 1)]),
        (b'"\n"', LINES, [(0, 3, 2)]),
        (b"1\r2\n3\n", LINES, [(0, 6, 2)]),
        (b"1\0\n\0\n", LINES, [(0, 5, 2)]),
        (b'"1\n",2\n3,"\r\n""\n"\r\n', CSV, [(0, 18, 2)]),
        (b"1\n\r\n\n2\n", CSV, [(0, 7, 2)]),
        (b' \n""\n', CSV, [(0, 5, 2)]),
        (b'5" pipe,a\n6" pipe,b\n', CSV, [(0, 20, 2)]),
        (b'a,"b"c"\nd,"e" \n', CSV, [(0, 15, 2)]),
        (b"a\rb\nc", CSV, [(0, 5, 2)]),
        (b",\n,", CSV, [(0, 3, 2)]),
        (b'\0,"\0\n"\n\0', CSV, [(0, 8, 2)]),
    ],
)
def test_a_record_ends_at_a_line_feed_outside_of_quotes(
    content: bytes, syntax: Syntax, expected: list[tuple[int, int, int]]
) -> None:
    assert ranges(content, syntax, 2) == expected


@pytest.mark.parametrize("block", [0, -1, 1001])
def test_a_block_has_bounds(block: int) -> None:
    with pytest.raises(ValueError, match="1 to 1,000"):
        list(cuts([b"1\n"], LINES, block))


def test_the_largest_block_is_taken() -> None:
    assert [cut.count for cut in cuts([b"1\n" * 2001], LINES, 1000)] == [1000, 1000, 1]


# -- hostile content -------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b'1,2\n3,"4\n5,6\n', b'1,2\n3,"4""\n5,6\n'])
def test_a_quote_that_is_never_closed_is_a_fault_that_names_the_record(content: bytes) -> None:
    with pytest.raises(ManifestFault, match=r"record 10,002 .* byte 504, .* quote"):
        list(cuts([content], CSV, 10, start=500, counted=10_000))


@pytest.mark.parametrize("syntax", list(Syntax))
@pytest.mark.parametrize("piece", [b"x" * MB, b"\n" * MB, b'"' * MB, b"x" * 1000, b"," * MB])
def test_a_stream_without_a_record_is_a_fault_and_little_of_it_is_held(
    piece: bytes, syntax: Syntax
) -> None:
    drawn = 0

    def stream() -> Iterator[bytes]:
        nonlocal drawn
        for part in chain([b"1\n2\n", b'"'[: syntax is CSV]], islice(repeat(piece), 2**31)):
            drawn += len(part)
            yield part

    with (
        held_at_most(8),
        pytest.raises(ManifestFault, match=r"record 3 .* byte 4, .* 1 MB") as told,
    ):
        list(cuts(stream(), syntax, 1000))
    assert drawn < 4 * MB
    assert ("quotes are closed" in str(told.value)) is (syntax is CSV)


@pytest.mark.parametrize("tail", [b"\n", b"\n1\n", b""])
def test_the_longest_record_is_taken_and_one_that_is_a_byte_longer_is_a_fault(tail: bytes) -> None:
    longest = MAX_RECORD_BYTES - 1
    first = b"1\n" + b"x" * longest + tail
    assert next(cuts([first], LINES, 2)).count == 2
    with pytest.raises(ManifestFault, match=r"record 2 .* byte 2, "):
        list(cuts([b"1\n" + b"x" * (longest + 1) + b"\n" + tail], LINES, 2))


def test_the_longest_blank_end_is_taken_and_one_that_is_a_byte_longer_is_a_fault() -> None:
    longest = MAX_RECORD_BYTES - 1
    assert ranges(b"1\n" + b" " * longest) == [(0, 2, 1)]
    with pytest.raises(ManifestFault, match=r"record 2 .* byte 2, .* blank lines"):
        ranges(b"1\n" + b" " * (longest + 1))


@pytest.mark.parametrize("size", [1, 1000, MB + 1, 3 * MB])
def test_a_long_record_is_a_fault_also_in_one_piece_with_others(size: int) -> None:
    content = b"1\n" + b"x" * MAX_RECORD_BYTES + b"\n" + b"2\n" * 10
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    with pytest.raises(ManifestFault, match="record 2 "):
        list(cuts(pieces, LINES, 2))


def test_a_block_has_no_more_bytes_than_its_reader_holds() -> None:
    line = b"x" * (MAX_CUT_BYTES // 32 - 1) + b"\n"
    assert [cut.count for cut in cuts(repeat(line, 64), LINES, 32)] == [32, 32]
    with pytest.raises(ManifestFault, match=r"33 records .* 16 MB .* smaller block"):
        list(cuts(repeat(line, 64), LINES, 33))


@pytest.mark.parametrize("cut", [cuts, lambda pieces, syntax, n: chunks(pieces, 2 * MB, syntax, n)])
def test_a_long_stream_is_never_held(cut: Callable[..., Iterator[object]]) -> None:
    piece = (b'"' + b"x" * 9_000 + b'\n"\n') * 50
    with held_at_most(12):
        assert sum(1 for _ in cut(repeat(piece, 100), CSV, 10)) > 10


@pytest.mark.parametrize(
    ("most_bytes", "sizes"), [(3, [2, 2, 2]), (4, [4, 2]), (6, [6]), (1, [2] * 3)]
)
def test_a_chunk_is_as_large_as_it_may_be(most_bytes: int, sizes: list[int]) -> None:
    found = chunks([b"1\n2\n3\n"], most_bytes, LINES, 1)
    assert [len(chunk.data) for chunk in found] == sizes


def test_a_chunk_has_a_bounded_number_of_blocks() -> None:
    found = list(chunks([b"1\n" * 25_000], MB, LINES, 1))
    assert [len(chunk.cuts) for chunk in found] == [10_000, 10_000, 5_000]


@pytest.mark.parametrize(
    "content", [b'"",' * 300_000, b'"a""' * 250_000, b"\r" * 1_000_000, b" " * 1_000_000]
)
@pytest.mark.parametrize("syntax", list(Syntax))
def test_tiny_pieces_of_what_never_ends_are_scanned_few_times(
    content: bytes, syntax: Syntax, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = 0
    find = FIND_RECORD[syntax]

    def counting(data: bytes, position: int) -> Any:
        nonlocal scans
        scans += 1
        return find(data, position)

    monkeypatch.setitem(FIND_RECORD, syntax, counting)
    pieces = (content[at : at + 3] for at in range(0, len(content), 3))
    try:
        list(cuts(pieces, syntax, 10))
    except ManifestFault as fault:
        assert "quote" in str(fault)
    assert scans < 6


def test_pieces_may_be_empty() -> None:
    assert list(cuts([b"", b"1", b"", b"\n", b""], LINES, 1)) == [Cut(0, 2, 1)]
