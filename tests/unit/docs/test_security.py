"""Compare the page on security with the table of routes."""

from __future__ import annotations

from tools.draw_routes import PAGE, page


def test_the_table_of_routes_and_scopes_is_drawn_from_the_code() -> None:
    assert PAGE.read_text() == page(), "run: python tools/draw_routes.py"
