"""Test tables: which columns a width has room for, and how cells fit them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from shiftwork.cli.render.tables import ESSENTIAL, Column, Shape, Table, wrapped

ID = "0f8c6a1e-6f0b-4e51-9a53-6f3c1c5b7d10"
COLUMNS = (
    Column("ID"),
    Column("STATUS", 9),
    Column("NOTE", 8, Shape.CUT),
    Column("STEP", 1),
)


def drawn(table: Table, width: int | None) -> list[str]:
    """Return the lines within a width; with every cell whole if there is none."""
    if width is None:
        return list(table.plain_lines())
    return [line.plain for line in table.lines(width)]


def test_columns_are_left_out_by_importance_and_named() -> None:
    table = Table(COLUMNS, [(ID, "completed", "a long note on what has happened", 7)])
    assert drawn(table, None)[0].endswith("  STEP")
    assert table.layout(90).left_out == []
    assert table.layout(60).left_out == ["STEP"]
    assert table.layout(50).left_out == ["NOTE", "STEP"]
    assert table.layout(40).left_out == ["STATUS", "NOTE", "STEP"]


def test_a_column_that_fits_is_shown_though_a_more_important_one_does_not() -> None:
    table = Table([Column("ID"), Column("WIDE", 9), Column("N", 1)], [("i", "w" * 30, 7)])
    assert drawn(table, 20) == ["ID  N", "i   7"]


def test_an_empty_column_goes_first_and_is_not_named() -> None:
    table = Table([Column("ID"), Column("ERROR", 9), Column("N", 1)], [(ID, None, 7)])
    assert drawn(table, 40) == [f"{'ID':36}  N", f"{ID}  7"]
    assert table.layout(40).left_out == []


def test_a_cut_text_is_one_line_with_an_ellipsis() -> None:
    table = Table(COLUMNS[:1] + COLUMNS[2:3], [(ID, "a note\nof two lines, and more of it")])
    assert drawn(table, 60)[1] == f"{ID}  a note of two lines, …"
    assert drawn(table, None)[1].endswith("and more of it")


def test_a_path_keeps_its_end() -> None:
    table = Table([Column("PATH", shape=Shape.END)], [("docs/reference/cli.md",), ("README.md",)])
    assert drawn(table, 12) == ["PATH", "…ence/cli.md", "README.md"]


def test_a_wrapped_text_continues_below_its_beginning() -> None:
    table = Table([Column("AT"), Column("WHY", shape=Shape.WRAPPED)], [("08:00", "one two " * 5)])
    assert drawn(table, 30) == [
        "AT     WHY",
        "08:00  one two one two one two",
        "       one two one two",
    ]


def test_an_essential_text_without_room_stands_below_its_row() -> None:
    told = Column("ERROR", 4, Shape.CUT, least=20, is_told=True)
    rows = [(ID, "failure", "Failure: customer c3 has no address"), (ID, "new", None)]
    table = Table([*COLUMNS[:2], told], rows)
    assert drawn(table, 50) == [
        f"{'ID':36}  STATUS",
        "  ERROR",
        f"{ID}  failure",
        "  Failure: customer c3 has no address",
        f"{ID}  new",
    ]
    assert drawn(table, 30)[3] == "  Failure: customer c3 has no…"
    assert table.layout(50).left_out == []
    assert drawn(table, 70)[1] == f"{ID}  failure  Failure: customer c3 h…"
    assert drawn(table, None)[1].endswith("Failure: customer c3 has no address")


def test_of_several_ids_those_that_fit_are_whole_and_the_rest_is_counted() -> None:
    table = Table([Column("IDS", 1, Shape.IDS)], [("a-1 b-2 c-3 d-4",), ("a-1",), (None,)])
    assert drawn(table, 12) == ["IDS", "a-1 b-2 +2", "a-1", "-"]
    assert drawn(table, 9) == ["IDS", "a-1 +3", "a-1", "-"]
    assert drawn(table, None)[1] == "a-1 b-2 c-3 d-4"


def test_what_is_essential_is_whole_even_where_the_line_is_too_long() -> None:
    assert drawn(Table(COLUMNS, [(ID, "new", "", 1)]), 20) == ["ID", ID]


def test_wide_characters_count_twice() -> None:
    table = Table([Column("NAME"), Column("NOTE", 1, Shape.CUT)], [("日本", "日本語日本語日本語")])
    assert max(cell_len(line) for line in drawn(table, 20)) <= 20
    assert drawn(table, None)[0] == "NAME  NOTE"


def test_wide_ids_are_counted_by_the_cells_that_they_take() -> None:
    table = Table([Column("NAME"), Column("IDS", 1, Shape.IDS)], [("a", "0000000000 日本日本日本")])
    assert drawn(table, 28)[1] == "a     0000000000 +1"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("a-word-in-one-piece and more", ["a-word-in-one-piece", "and more"]),
        ("one\n\n  two", ["one", "", "  two"]),
    ],
)
def test_a_text_is_broken_between_words(text: str, lines: list[str]) -> None:
    assert [line.plain for line in wrapped(Text(text), 9)] == lines


cells = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=40)
shapes = st.sampled_from(Shape)
columns = st.builds(Column, st.sampled_from(["A", "STATUS"]), st.integers(1, 9), shapes)


@given(st.data(), st.lists(columns, min_size=1, max_size=5), st.integers(60, 200))
def test_whatever_the_cells_are_no_line_exceeds_the_width_but_for_what_stays_whole(
    data: st.DataObject, optional: list[Column], width: int
) -> None:
    every = [Column("ID"), *optional]
    rows = data.draw(st.lists(st.tuples(st.just(ID), *(cells for _ in optional)), max_size=4))
    table = Table(every, rows)
    assert every[0].importance == ESSENTIAL
    for line in table.lines(width):
        assert line.cell_len <= width
    assert sum(ID in line for line in drawn(table, width)) == len(rows)
