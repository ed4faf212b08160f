"""Texts of unknown origin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.texts import storable, text_of

anything = st.text(st.characters(codec=None))


@given(anything, st.integers(10, 60))
def test_every_text_can_be_stored_within_the_bound_and_stays_as_it_is_then(
    text: str, most: int
) -> None:
    stored = storable(text, most)
    assert len(stored.encode()) <= most
    assert storable(stored, most) == stored


def test_what_utf_8_cannot_write_is_written_out() -> None:
    assert storable("a\udc80b", 100) == "a\\udc80b"


@pytest.mark.parametrize("text", ["", "short", "é" * 10])
def test_a_text_that_fits_is_not_changed(text: str) -> None:
    assert storable(text, 20) == text


def test_a_text_is_cut_between_characters() -> None:
    assert storable("é" * 10, 19) == "é" * 8 + "…"
    assert storable("x" * 20, 19) == "x" * 16 + "…"


class Mute(Exception):
    """Cannot say what is wrong."""

    def __str__(self) -> str:
        raise SystemExit


def test_an_error_that_cannot_say_what_it_is_has_a_text() -> None:
    assert text_of(ValueError("no")) == "no"
    assert text_of(Mute()) == "(its text cannot be read: SystemExit)"
