"""Manifests in parts: which values name some, and in which part some of their bytes lie."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.domain.requests.manifests.parts import (
    MAX_PARTS,
    PART_BYTES,
    Part,
    Piece,
    parts_of,
    parts_to_json,
    pieces_between,
)
from shiftwork_core.domain.requests.manifests.places import ManifestFault

PARTS = (Part("a", 10), Part("b", 5), Part("c", 20))
LARGEST = 2 * PART_BYTES


@pytest.mark.parametrize(
    "parts",
    [(), (Part("a", 1), Part("b", LARGEST)), (Part("a", 7),) * MAX_PARTS],
    ids=["none", "the smallest and the largest", "the most"],
)
def test_parts_are_read_as_they_stand_in_the_extras(parts: tuple[Part, ...]) -> None:
    assert parts_of(parts_to_json(parts, 3)) == parts


@pytest.mark.parametrize("value", [None, [], "s3://a/b.csv", {}, {"parts": "a"}, {"count": 1}])
def test_what_names_no_parts_at_all_is_none(value: Any) -> None:
    assert parts_of(value) is None


@pytest.mark.parametrize("part", [["a", 0], ["a", -1], ["a", LARGEST + 1], ["a", "1"], ["a"], "a"])
def test_what_is_no_part_is_refused_and_quoted(part: Any) -> None:
    with pytest.raises(ManifestFault, match="is no part of a manifest") as raised:
        parts_of({"parts": [part]})
    assert repr(part) in str(raised.value)


def test_more_parts_than_a_planner_reads_are_refused() -> None:
    with pytest.raises(ManifestFault, match="it names 257 parts: 256 are the most"):
        parts_of({"parts": [["a", 1]] * (MAX_PARTS + 1)})


@pytest.mark.parametrize(
    ("start", "end", "pieces"),
    [
        (0, 35, [("a", 0, 10), ("b", 0, 5), ("c", 0, 20)]),
        (3, 9, [("a", 3, 9)]),
        (0, 10, [("a", 0, 10)]),
        (10, 15, [("b", 0, 5)]),
        (9, 11, [("a", 9, 10), ("b", 0, 1)]),
        (15, 35, [("c", 0, 20)]),
        (7, 7, []),
    ],
)
def test_bytes_lie_in_the_parts_that_have_some_of_them(
    start: int, end: int, pieces: list[tuple[str, int, int]]
) -> None:
    assert list(pieces_between(PARTS, start, end)) == [Piece(*piece) for piece in pieces]
