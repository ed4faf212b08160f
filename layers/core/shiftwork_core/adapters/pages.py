"""Make a page of a list: the rows that are wanted, out of a bounded number of rows.

No index knows what most filters ask for. So a list that filters looks at a bounded number of rows,
and answers with what it has found: the page may be short, or even empty, and not be the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from shiftwork_core.ports.stores import MOST_LOOKED_AT, Page

Row = TypeVar("Row")


def rows_to_look_at(limit: int, *, is_filtered: bool) -> int:
    """Return how many rows a page looks at, at most; it reads one more, to see if that is all."""
    return max(limit, MOST_LOOKED_AT) if is_filtered else limit


def page_of(
    rows: Iterable[Row],
    limit: int,
    token_of: Callable[[Row], str],
    is_wanted: Callable[[Row], bool] | None = None,
) -> Page[Row]:
    """Return the page that begins with the first row, at most `limit` rows that are wanted.

    Parameters
    ----------
    token_of:
        Returns the token of the page that begins behind a row.
    is_wanted:
        None: every row is.
    """
    # If every row is wanted, the page is full before that.
    most = rows_to_look_at(limit, is_filtered=True)
    page: list[Row] = []
    token = None
    for number, row in enumerate(islice(rows, most + 1)):
        if number == most or len(page) == limit:
            return Page(page, token)
        if is_wanted is None or is_wanted(row):
            page.append(row)
        token = token_of(row)
    return Page(page)


def newest_of(
    name_of: Callable[[Row], str], is_wanted: Callable[[Row], bool] = lambda row: True
) -> Callable[[Row], bool]:
    """Return whether a row is the newest of its name, and wanted, of rows asked about in order.

    They are in order of their names, and the newest of a name comes first.
    """
    before: str | None = None

    def is_newest(row: Row) -> bool:
        nonlocal before
        is_first = name_of(row) != before
        before = name_of(row)
        return is_first and is_wanted(row)

    return is_newest
