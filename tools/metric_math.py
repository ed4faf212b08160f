"""Evaluate CloudWatch's metric math at one point in time, as far as our alarms use it.

Arithmetic, comparisons, `IF`, `FILL`, `SUM` and `METRICS()`. A missing value makes its expression
missing, except in `FILL`.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

#: A number, several, or None for a missing one.
Result = float | list[float | None] | None

_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


def evaluate(expression: str, metrics: Mapping[str, float | None]) -> float | None:
    """Return an expression's value for the metrics' values by id.

    Raises
    ------
    ValueError
        If the expression uses what is not offered here.
    """
    result = _evaluate(ast.parse(expression, mode="eval").body, metrics)
    if isinstance(result, list):
        raise ValueError(f"{expression} gives several series")
    return None if result is None else float(result)


def _evaluate(node: ast.expr, metrics: Mapping[str, float | None]) -> Result:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return metrics[name]
        case ast.List(elts=elements):
            return [_number(element, metrics) for element in elements]
        case ast.BinOp(left=left, op=op, right=right):
            return _combine(op, _number(left, metrics), _number(right, metrics))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _combine(op, _number(left, metrics), _number(right, metrics))
        case ast.Call(func=ast.Name(id=function), args=arguments):
            return _call(function, arguments, metrics)
    raise ValueError(f"not offered: {ast.unparse(node)}")


def _number(node: ast.expr, metrics: Mapping[str, float | None]) -> float | None:
    result = _evaluate(node, metrics)
    if isinstance(result, list):
        raise ValueError(f"{ast.unparse(node)} gives several series")
    return result


def _combine(op: ast.operator | ast.cmpop, left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    if isinstance(op, ast.Div):
        return left / right if right else None  # CloudWatch shows no point there.
    return float(_OPERATORS[type(op)](left, right))


def _call(function: str, arguments: list[ast.expr], metrics: Mapping[str, float | None]) -> Result:
    match function, arguments:
        case "METRICS", []:
            return [*metrics.values()]
        case "FILL", [series, default]:
            filler, given = _number(default, metrics), _evaluate(series, metrics)
            if isinstance(given, list):
                return [filler if value is None else value for value in given]
            return filler if given is None else given
        case "SUM", [array]:
            given = _evaluate(array, metrics)
            present = [v for v in given if v is not None] if isinstance(given, list) else []
            return sum(present) if present else None
        case "IF", [condition, then, otherwise]:
            decided = _number(condition, metrics)
            if decided is None:
                return None
            return _evaluate(then if decided else otherwise, metrics)
    raise ValueError(f"not offered: {function} with {len(arguments)} arguments")
