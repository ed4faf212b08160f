"""Evaluate the expressions that our adapters send to DynamoDB: conditions, filters and updates.

A text is compiled once into a function. What the adapters do not use is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from benchmarks.units import Item

#: A value in DynamoDB's JSON: `{"S": "text"}`.
Wire = Mapping[str, Any]
#: Given a row, the names and the values of the call.
Condition = Callable[[Item, Mapping[str, str], Mapping[str, Wire]], bool]
Operand = Callable[[Item, Mapping[str, str], Mapping[str, Wire]], Any]

_TOKEN = re.compile(r"\s*([#:]?\w+|<=|>=|<>|[=<>(),])")
#: What follows each verb of an update.
_CHANGE = {
    "SET": re.compile(r"(?P<name>#\w+) = (?P<value>:\w+)"),
    "REMOVE": re.compile(r"(?P<name>#\w+)"),
    "ADD": re.compile(r"(?P<name>#\w+) (?P<value>:\w+)"),
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: _are_alike(a, b) and a < b,
    "<=": lambda a, b: _are_alike(a, b) and a <= b,
    ">": lambda a, b: _are_alike(a, b) and a > b,
    ">=": lambda a, b: _are_alike(a, b) and a >= b,
}


def plain(value: Wire | None) -> Any:
    """Return a value as something that compares and sorts as in DynamoDB; None for an absent one.

    Values of two types are never equal, so each carries its own; of one type they sort by content.
    """
    if value is None:
        return None
    ((kind, content),) = value.items()
    return (kind, int(content) if kind == "N" else content)


def _are_alike(a: Any, b: Any) -> bool:
    return a is not None and b is not None and a[0] == b[0]


@lru_cache(maxsize=1024)
def condition(text: str) -> Condition:
    """Compile a condition or a filter.

    Raises
    ------
    NotImplementedError
        If it uses what no adapter does.
    """
    parser = _Parser(text)
    compiled = parser.either()
    parser.expect_end()
    return compiled


@lru_cache(maxsize=1024)
def changes(text: str) -> Callable[[Item, Mapping[str, str], Mapping[str, Wire]], Item]:
    """Compile an UpdateExpression: given a row, it returns the changed one."""
    clauses: list[tuple[str, str, str]] = []
    for verb, body in re.findall(r"(SET|REMOVE|ADD) (.*?)(?= SET | REMOVE | ADD |$)", text):
        for part in body.split(", "):
            found = _CHANGE[verb].fullmatch(part)
            if found is None:
                raise NotImplementedError(text)
            clauses.append((verb, found["name"], found["value"] if verb != "REMOVE" else ""))

    if not clauses:
        raise NotImplementedError(text)

    def apply(row: Item, names: Mapping[str, str], values: Mapping[str, Wire]) -> Item:
        changed = dict(row)
        for verb, name, value in clauses:
            attribute = names[name]
            if verb == "SET":
                changed[attribute] = values[value]
            elif verb == "REMOVE":
                changed.pop(attribute, None)
            else:
                before = int(row[attribute]["N"]) if attribute in row else 0
                changed[attribute] = {"N": str(before + int(values[value]["N"]))}
        return changed

    return apply


class _Parser:
    """A recursive descent over the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise NotImplementedError(text)
            self._tokens.append(found.group(1))
            at = found.end()
        self._tokens.reverse()

    def _next(self) -> str:
        if not self._tokens:
            raise NotImplementedError(self._text)
        return self._tokens.pop()

    def _take(self, token: str) -> bool:
        if self._tokens and self._tokens[-1] == token:
            self._tokens.pop()
            return True
        return False

    def _expect(self, token: str) -> None:
        if self._next() != token:
            raise NotImplementedError(self._text)

    def expect_end(self) -> None:
        if self._tokens:
            raise NotImplementedError(self._text)

    def either(self) -> Condition:
        terms = [self._both()]
        while self._take("OR"):
            terms.append(self._both())
        if len(terms) == 1:
            return terms[0]
        return lambda *given: any(term(*given) for term in terms)

    def _both(self) -> Condition:
        terms = [self._atom()]
        while self._take("AND"):
            terms.append(self._atom())
        if len(terms) == 1:
            return terms[0]
        return lambda *given: all(term(*given) for term in terms)

    def _atom(self) -> Condition:
        if self._take("("):
            inside = self.either()
            self._expect(")")
            return inside
        token = self._next()
        if self._take("("):
            return self._function(token)
        left = _operand(token)
        verb = self._next()
        if verb == "IN":
            return self._is_one_of(left)
        if verb == "BETWEEN":
            low = _operand(self._next())
            self._expect("AND")
            high = _operand(self._next())
            return lambda *given: (
                _are_alike(left(*given), low(*given))
                and low(*given) <= left(*given) <= high(*given)
            )
        if verb not in _COMPARISONS:
            raise NotImplementedError(self._text)
        compare, right = _COMPARISONS[verb], _operand(self._next())
        return lambda *given: compare(left(*given), right(*given))

    def _is_one_of(self, left: Operand) -> Condition:
        self._expect("(")
        choices = [_operand(self._next())]
        while self._take(","):
            choices.append(_operand(self._next()))
        self._expect(")")
        return lambda *given: left(*given) in [choice(*given) for choice in choices]

    def _function(self, name: str) -> Condition:
        first = _operand(self._next())
        if name == "begins_with":
            self._expect(",")
            prefix = _operand(self._next())
            self._expect(")")
            return lambda *given: (
                _are_alike(first(*given), prefix(*given))
                and first(*given)[1].startswith(prefix(*given)[1])
            )
        self._expect(")")
        if name == "attribute_exists":
            return lambda *given: first(*given) is not None
        if name == "attribute_not_exists":
            return lambda *given: first(*given) is None
        raise NotImplementedError(self._text)


def _operand(token: str) -> Operand:
    if token.startswith("#"):
        return lambda row, names, values: plain(row.get(names[token]))
    if token.startswith(":"):
        return lambda row, names, values: plain(values[token])
    raise NotImplementedError(token)
