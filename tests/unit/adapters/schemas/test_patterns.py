"""Patterns of schemas: matched in linear time, or refused by name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.adapters.schemas.check import check_schema
from shiftwork_core.adapters.schemas.meter import MAX_CHECK_STEPS, metered
from shiftwork_core.adapters.schemas.patterns import (
    MAX_PATTERN_LENGTH,
    MAX_PATTERNS,
    matches,
    pattern_fault,
)
from shiftwork_core.domain.requests.budgets import OverBudget
from tests.world.counted import no_hang

MAIL = (
    r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}"
    r"(([a-z]{2,3})|([a-z]{2,3}[.]{1}[a-z]{2,3}))$"
)
TEXTBOOK = ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*a){20}$", "^(x+x+)+y$", MAIL]


@pytest.mark.parametrize("pattern", TEXTBOOK)
@pytest.mark.parametrize("length", [28, 31, 5000])
def test_a_pattern_that_backtracks_without_end_is_matched_at_once(
    pattern: str, length: int
) -> None:
    text = ("x" if "x+" in pattern else "a") * length + "!"
    with no_hang():
        [fault] = check_schema({"pattern": pattern}, text)
        assert "does not match" in fault.message
        assert check_schema({"patternProperties": {pattern: False}}, {text: 1}) == []
        [extra] = check_schema(
            {"patternProperties": {pattern: True}, "additionalProperties": False}, {text: 1}
        )
        assert "were unexpected" in extra.message or "was unexpected" in extra.message
        [left] = check_schema(
            {"patternProperties": {pattern: True}, "unevaluatedProperties": False}, {text: 1}
        )
        assert "Unevaluated properties" in left.message


@pytest.mark.parametrize(
    "pattern",
    [r"(a)\1", "(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", "(?>a)b", "(", "a{2,1}", "a{1001}", "[",
     "((a{100}){100}){100}", "(" * 999, "a" * (MAX_PATTERN_LENGTH + 1)],
)  # fmt: skip
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_refused_by_name(pattern: str) -> None:
    message = pattern_fault(pattern)
    assert message is not None
    assert repr(pattern[:10])[1:-1] in message or "at most 1,000 characters" in message


def test_as_many_patterns_as_a_schema_may_have_are_all_kept_compiled() -> None:
    from shiftwork_core.adapters.schemas import patterns

    assert (patterns._compiled.cache_info().maxsize or 0) >= MAX_PATTERNS


def test_matching_takes_steps_for_the_size_of_the_pattern_times_that_of_the_text() -> None:
    pattern = "([ab]*a[ab]{500}c)|([ab]*b[ab]{400}c)"
    with metered(MAX_CHECK_STEPS) as meter:
        matches(pattern, "ab" * 100)
    short, _, _ = meter.spent
    with metered(MAX_CHECK_STEPS) as meter:
        matches(pattern, "ab" * 10_000)
    assert meter.spent[0] / short > 90
    with metered(MAX_CHECK_STEPS), pytest.raises(OverBudget):
        matches(pattern, "ab" * 1_000_000)


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^b]", "ab", r"\d", "x?"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        inner.map("({})+".format),
        inner.map("({})*".format),
        inner.map("(?:{}){{1,3}}".format),
        st.builds("({}|{})".format, inner, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=6,
)


@given(pattern=PATTERNS, text=st.text("ab1x", max_size=6), anchors=st.sampled_from(["", "^", "$"]))
def test_what_is_accepted_matches_as_it_did(pattern: str, text: str, anchors: str) -> None:
    pattern = f"^{pattern}$" if anchors == "$" else anchors + pattern
    assert pattern_fault(pattern) is None
    with metered(MAX_CHECK_STEPS):
        assert matches(pattern, text) == (re.search(pattern, text) is not None)


@given(pattern=PATTERNS, tail=st.sampled_from(["!", "c", ""]), levels=st.integers(0, 6))
def test_a_bomb_of_a_pattern_is_refused_by_name_or_matched_within_the_budget(
    pattern: str, tail: str, levels: int
) -> None:
    for _ in range(levels):
        pattern = f"({pattern}|{pattern[:200]})+"[:1500]
    with no_hang(), metered(MAX_CHECK_STEPS):
        if pattern_fault(f"^{pattern}$") is None:
            try:
                matches(f"^{pattern}$", "ab" * 5000 + tail)
            except OverBudget:
                return
