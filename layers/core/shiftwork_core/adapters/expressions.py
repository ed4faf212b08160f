"""Evaluate JMESPath expressions within a budget of steps and of what they may build."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jmespath
from jmespath.functions import Functions
from jmespath.visitor import Options, TreeInterpreter, _Expression

from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests.budgets import MAX_VALUE_BYTES, Budget, OverBudget, length_of

#: Evaluating a level takes at most seven frames of Python's stack, which has a thousand.
MAX_EXPRESSION_DEPTH = 64
#: What each evaluation takes besides its visits: an expression that is not cached is parsed.
_CHARACTERS_PER_STEP = 8
#: Nodes whose value is a new list or object; every other yields a part of what it was given.
_BUILDERS = frozenset(
    {
        "filter_projection",
        "flatten",
        "function_expression",
        "multi_select_dict",
        "multi_select_list",
        "projection",
        "slice",
        "value_projection",
    }
)


class TooDeep(ValueError):
    """An expression is nested deeper than may be evaluated."""

    def __init__(self) -> None:
        super().__init__(f"it is nested more than {MAX_EXPRESSION_DEPTH} levels deep")


def search(expression: str, data: Json, budget: Budget) -> Json:
    """Return what the expression yields, in JMESPath's words of `data`.

    Raises
    ------
    OverBudget
        If that takes more than the budget has left, or builds a value that is too large.
    TooDeep, JMESPathError, ValueError
        If the expression cannot be evaluated, or yields what is not JSON.
    """
    budget.spend(1 + len(expression) // _CHARACTERS_PER_STEP)
    return _Interpreter(budget).visit(parse(expression), data)


@lru_cache(maxsize=1024)
def parse(expression: str) -> Any:
    """Return the expression's tree.

    Raises
    ------
    TooDeep
        If it is nested too deep. The parser recurses only where the tree is deep, so what is
        accepted once is parsed from wherever it is called.
    JMESPathError
        If it is not JMESPath.
    """
    try:
        tree: Any = jmespath.compile(expression).parsed
    except RecursionError:
        raise TooDeep from None
    level, depth = [tree], 0
    while level:
        level = [c for node in level for c in node["children"] if isinstance(c, dict)]
        depth += 1
        if depth > MAX_EXPRESSION_DEPTH:
            raise TooDeep
    return tree


class _Interpreter(TreeInterpreter):
    """Counts each node that it visits, and weighs each value that it builds.

    Because no value is larger than a bound, neither is what a comparison or a function does with
    one. A value that holds another twice counts it twice: so it would be written.
    """

    def __init__(self, budget: Budget) -> None:
        super().__init__(Options(custom_functions=_BoundedFunctions(budget)))
        self._budget = budget
        self.COMPARATOR_FUNC = {  # type: ignore[misc]  # A class variable in the stubs.
            name: self._weighing(compare)
            for name, compare in TreeInterpreter.COMPARATOR_FUNC.items()
        }

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Visit the node, for a step."""
        self._budget.spend(1)
        value = super().visit(node, *args, **kwargs)
        if node["type"] in _BUILDERS:
            self._budget.weigh(value)
        return value

    def _weighing(self, compare: Any) -> Any:
        def weigh_and_compare(left: Json, right: Json) -> Any:
            self._budget.weigh(left)
            self._budget.weigh(right)
            return compare(left, right)

        return weigh_and_compare


class _BoundedFunctions(Functions):
    """JMESPath's functions, which take steps for the size of what they are given."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def call_function(self, function_name: str, resolved_args: Any) -> Any:
        """Call the function once its arguments are weighed."""
        for argument in resolved_args:
            if not isinstance(argument, _Expression):
                self._budget.weigh(argument)
        if function_name == "join":
            _check_joined(*resolved_args)
        return super().call_function(function_name, resolved_args)


def _check_joined(*arguments: Any) -> None:
    """Refuse to join what would be too large; other functions yield less than they are given."""
    match arguments:
        case [str() as separator, list() as texts]:
            if length_of(separator) * len(texts) > MAX_VALUE_BYTES:
                raise OverBudget(f"it yields more than {MAX_VALUE_BYTES:,} bytes of text")
