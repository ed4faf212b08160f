"""Evaluating expressions: as JMESPath does, within a budget of steps, values and bytes."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jmespath.exceptions import JMESPathError

from shiftwork_core.adapters.expressions import MAX_EXPRESSION_DEPTH, TooDeep, parse, search
from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests import budgets
from shiftwork_core.domain.requests.budgets import (
    MAX_VALUE_BYTES,
    MAX_VALUE_NODES,
    Budget,
    OverBudget,
)
from tests.world.counted import calls_of, no_hang

#: Functions that a step may call. Measured: at most 12.
CALLS_PER_STEP = 30
DATA: dict[str, Any] = {
    "n": [3, 1, 2],
    "s": ["b", "a", "ä"],
    "o": [{"a": 1, "b": "x"}, {"a": 2, "b": "y", "c": [1]}],
    "t": "text",
    "z": None,
}


def found(expression: str, data: Json = DATA) -> Json:
    with no_hang():
        return search(expression, data, Budget())


def test_an_expression_that_doubles_its_result_twenty_times_is_refused() -> None:
    for stage in ("[@,@]", "{a: @, b: @}"):
        with pytest.raises(OverBudget, match="more than 1,000,000 values"):
            found("|".join([stage] * 20), {"params": 1})


@pytest.mark.parametrize(
    "expression",
    [
        "|".join(["[@,@]"] * 20) + "|length(to_string(@))",
        "|".join(["[@,@]"] * 19) + "|[@==@]",
        "[@,@]|" * 19 + "{a:@,b:@} == {a:@,b:@}",
        "|".join(["[*].[@,@,@,@]"] * 40),
        "|".join(["map(&[@,@,@,@], @)"] * 40),
        "|".join(["[@[],@[]][]"] * 40),
        "|".join(["[@,@]"] * 12) + "|[]|[]|" + "|".join(["[@,@,@]"] * 12),
        "merge({a: @}, {b: {a: @}})|" * 25 + "[@,@,@,@,@,@,@,@]|" * 8 + "@",
        "to_string(@)|[@,@,@,@,@,@,@,@]|" * 20 + "@",
        "|".join(["join(to_string(@), map(&to_string(@), @))|[@,@,@,@]"] * 20),
        "|".join(["sort_by(@, &to_string(@))|[@[],@[]][]"] * 25),
    ],
)
def test_a_bomb_of_an_expression_is_refused(expression: str) -> None:
    with no_hang(), pytest.raises((OverBudget, TooDeep)):
        search(expression, [1, 2, 3], Budget(steps=100_000))


def test_what_is_built_of_shared_parts_is_counted_as_it_would_be_written() -> None:
    budget = Budget()
    part = ["x" * 100] * 100
    value = search("[@,@,@]", part, budget)
    assert budget.weigh(value) == (3 * 101 + 1, 3 * 100 * 100)


def test_a_text_may_be_as_long_as_a_value_and_no_longer() -> None:
    texts = ["x" * 1024] * (MAX_VALUE_BYTES // 1024)
    assert len(found("join('', @)", texts)) == MAX_VALUE_BYTES
    with pytest.raises(OverBudget, match="6,291,456 bytes"):
        found("join('', @)", [*texts, "x"])
    with pytest.raises(OverBudget, match="6,291,456 bytes"):
        found("join(@, ['', '', ''])", "x" * (MAX_VALUE_BYTES // 2))


def test_a_value_may_have_so_many_parts_and_no_more() -> None:
    assert len(found("@[*]", [1] * (MAX_VALUE_NODES - 1))) == MAX_VALUE_NODES - 1
    with pytest.raises(OverBudget, match="1,000,000 values"):
        found("@[*]", [1] * MAX_VALUE_NODES)


def test_each_node_that_is_visited_takes_a_step_and_so_do_parsing_and_weighing() -> None:
    for expression, data, steps in [
        ("a.b.c", {"a": {"b": {"c": 1}}}, 1 + 4),
        ("[?a || b]", [{}] * 1000, 1 + 1 + 2 + 3000),
        ("length(@)", [0] * 4000, 1 + 1 + 2 + 1000),
        ("length(@)", "x" * 10_240, 1 + 1 + 2 + 10),
    ]:
        budget = Budget()
        search(expression, data, budget)
        assert budget.spent[0] == steps, expression


def test_steps_are_counted_over_all_that_one_budget_pays_for() -> None:
    budget = Budget(steps=1000)
    with pytest.raises(OverBudget, match="more than 1,000 steps"):
        for _ in range(1000):
            search("n[*].[@]", DATA, budget)


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 900,
        "[" * 480 + "]" * 480,
        "!" * 900 + "a",
        "a" + "&&a" * 330,
        "a" + "|a" * 490,
        "a" + "[*]" * 330,
        "*" + ".*" * 490,
        "a" + "||a" * 330,
        "a" + "==a" * 330,
        "abs(" * 190 + "@" + ")" * 190,
    ],
)
def test_an_expression_that_is_nested_deep_is_refused_in_words(expression: str) -> None:
    with pytest.raises(ValueError, match=r"nested more than 64|[Ii]nvalid|Incomplete") as refusal:
        found(expression)
    assert isinstance(refusal.value, (TooDeep, JMESPathError))


def test_the_deepest_expression_is_evaluated_however_deep_its_caller_is() -> None:
    levels = MAX_EXPRESSION_DEPTH // 2 - 1
    expression = "map(&" * levels + "@" + ", @)" * levels
    nested: Json = [1]
    for _ in range(levels):
        nested = [nested]

    def called_from(depth: int) -> Json:
        return found(expression, nested) if depth == 0 else called_from(depth - 1)

    assert called_from(300) == nested
    assert parse("a" + "||a" * (MAX_EXPRESSION_DEPTH - 1))
    with pytest.raises(TooDeep):
        parse("a" + "||a" * MAX_EXPRESSION_DEPTH)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("[&a]", "what JSON does not have"),
        ("{a: &b}", "what JSON does not have"),
        ("to_number('1e999')", "out of range"),
        ("sum([to_number('1e308'), to_number('1e308')])", "out of range"),
        ("to_number('99999999999999999999')", "out of range"),
    ],
)
def test_an_expression_that_yields_what_is_not_json_fails(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        found(expression)


STAGES = st.sampled_from(
    ["[@,@]", "{a: @, b: @}", "[*].[@,@]", "map(&[@,@], @)", "[]", "[][]", "@[*].*", "*",
     "merge(@, {c: @})", "to_string(@)", "[to_string(@), to_string(@)]", "reverse(@)", "values(@)",
     "join(to_string(@), [to_string(@), 'x', to_string(@)])", "sort_by(@, &to_string(@))",
     "[? @ == @]", "[@ == @, @]", "to_array(@)", "[@, @[], @[?@]][]", "max_by(@, &length(@))",
     "contains(@, @)", "[::-1]", "[*].{a: @, b: [@, @]}", "not_null(@, @)", "length(@)"]
)  # fmt: skip


@given(
    stages=st.lists(STAGES, min_size=1, max_size=40),
    wraps=st.integers(0, 30),
    data=st.sampled_from([[], [1, 2, 3], DATA, "x" * 3000, [["a"] * 20] * 20]),
)
@settings(deadline=None, max_examples=30)
def test_an_expression_made_to_explode_is_refused_or_evaluated_within_the_budget(
    stages: list[str], wraps: int, data: Json
) -> None:
    expression = "[" * wraps + "|".join(stages) + "]" * wraps
    budget = Budget(steps=3000)

    def attempt() -> Json:
        try:
            return search(expression[:1000], data, budget)
        except (OverBudget, JMESPathError, ValueError):
            return None

    with pytest.MonkeyPatch.context() as patch, no_hang():
        patch.setattr(budgets, "MAX_VALUE_NODES", 3000)
        value, calls = calls_of(attempt)
    nodes, size_bytes = Budget().weigh(value)
    assert (nodes <= 3000, size_bytes <= MAX_VALUE_BYTES) == (True, True)
    # Besides, it is parsed, and one value is weighed to its bound before that is paid for.
    assert calls < 3000 * CALLS_PER_STEP + 50_000


FUNCTIONS = [
    "avg",
    "keys",
    "length",
    "max",
    "reverse",
    "sort",
    "sum",
    "to_string",
    "type",
    "values",
]
PARTS = st.recursive(
    st.sampled_from(["n", "s", "o", "t", "z", "@", "`1`", "'b'", "o[0].a", "n[1:]", "missing"]),
    lambda inner: st.one_of(
        st.builds("{}[*].{}".format, inner, st.sampled_from(["a", "b", "[@]", "{k: a}"])),
        st.builds("{}[?@ {} {}]".format, inner, st.sampled_from(["==", "!=", "<", ">="]), inner),
        st.builds("{} || {}".format, inner, inner),
        st.builds("{} && {}".format, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{k: {}, l: {}}}".format, inner, inner),
        st.builds("{}({})".format, st.sampled_from(FUNCTIONS), inner),
        st.builds("sort_by({}, &{})".format, inner, inner),
        st.builds("map(&{}, {})".format, inner, inner),
        st.builds("join({}, {})".format, inner, inner),
        st.builds("{} | {}".format, inner, inner),
        st.builds("!{}".format, inner),
        st.builds("{}[]".format, inner),
    ),
    max_leaves=5,
)  # fmt: skip


@given(expression=PARTS)
@settings(max_examples=300, deadline=None)
def test_what_is_within_the_budget_yields_what_jmespath_yields(expression: str) -> None:
    try:
        expected = jmespath.search(expression, DATA)
    except Exception as error:
        with pytest.raises(type(error)):
            found(expression)
    else:
        assert found(expression) == expected
