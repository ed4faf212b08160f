"""A block's records become items; one that cannot be read fails its own job only."""

from __future__ import annotations

import json
import re

import pytest

from shiftwork_core.domain.requests.manifests.items import Item, ItemFault, items_of
from shiftwork_core.domain.requests.manifests.places import MAX_RECORD_BYTES, ManifestFault, Syntax

LINES, CSV = Syntax.JSON_LINES, Syntax.CSV


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not JSON"),
        (b"a", "not JSON"),
        (b"1 2", "not JSON"),
        (b"\0", "not JSON"),
        (b'"\0"', "not JSON"),
        (b"\xff", "not UTF-8 at its byte 1"),
        (b'"\xc3\xa4\xe4"', "not UTF-8 at its byte 4"),
        (b'{"a": NaN}', "a: JSON has no NaN"),
        (b"-Infinity", "JSON has no NaN and no Infinity"),
        (b"1e999", "out of range"),
        (b"[9223372036854775808]", r"\[0\]: the number is out of range"),
        (b"9" * 5000, "out of range"),
        (b"[" * 40 + b"]" * 40, "32 levels"),
        (b"[" * 200_000, "32 levels|not JSON"),
        (b'"\\ud800"', "surrogate"),
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b"\xef\xbb\xbf1", "not JSON"),
    ],
)
def test_a_line_that_is_not_json_fails_alone(line: bytes, message: str) -> None:
    first, fault, last = items_of(b"1\n" + line + b'\r\n{"b": "\xc3\xa4"}', LINES, (), 3)
    assert (first, last) == (Item(1), Item({"b": "ä"}))
    assert isinstance(fault, ItemFault)
    assert re.search(message, fault.message)


def test_lines_hold_any_value() -> None:
    values = [None, True, 0, -1.5, "", "a\u2028b\x85", [], {}, [[1]], {"a": {"b": None}}, 2**63 - 1]
    content = "\n".join(json.dumps(value, ensure_ascii=False) for value in values).encode()
    assert items_of(content, LINES, (), len(values)) == [Item(value) for value in values]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"1", "has 1 fields, and the header has 2"),
        (b"1,2,3", "has 3 fields, and the header has 2"),
        (b" ", "has 1 fields, and the header has 2"),
        (b"1,2,", "has 3 fields, and the header has 2"),
        (b'1,"2"x', "not CSV"),
        (b"1,a\rb", "not CSV"),
        (b'"1","a\xff"', "not UTF-8 at its byte 7"),
    ],
)
def test_a_row_that_is_not_of_the_table_fails_alone(row: bytes, message: str) -> None:
    content = b"\n1,2\r\n" + row + b'\n\n"3\n",4'
    first, fault, last = items_of(content, CSV, ("a", "b"), 3)
    assert (first, last) == (Item({"a": "1", "b": "2"}), Item({"a": "3\n", "b": "4"}))
    assert isinstance(fault, ItemFault)
    assert re.search(message, fault.message)


def test_fields_are_texts_as_they_are_written() -> None:
    row = b'007, a ,,"",5" pipe,"say ""hi""\r\n",\0,\xc3\xa4'
    texts = ["007", " a ", "", "", '5" pipe', 'say "hi"\r\n', "\0", "ä"]
    names = tuple("abcdefgh")
    [item] = items_of(row, CSV, names, 1)
    assert item == Item(dict(zip(names, texts, strict=True)))


@pytest.mark.parametrize(
    ("content", "syntax"),
    [
        (b"1\n", LINES),
        (b"1\n2\n3\n", LINES),
        (b"", LINES),
        (b"1\n", CSV),
        (b'1\n2\n"3', CSV),
    ],
)
def test_another_number_of_records_than_was_planned_is_a_fault(
    content: bytes, syntax: Syntax
) -> None:
    with pytest.raises(ManifestFault, match="had 2 when it was planned"):
        items_of(content, syntax, ("a",), 2)


def test_a_field_may_be_as_long_as_a_record() -> None:
    field = "x" * (MAX_RECORD_BYTES - 10)
    [item] = items_of(f"1,{field}\n".encode(), CSV, ("a", "b"), 1)
    assert item == Item({"a": "1", "b": field})
