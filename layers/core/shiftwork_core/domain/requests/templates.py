"""Templates in definitions: `{expression}` is JMESPath over `{params, extras, item}`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.budgets import Budget, OverBudget, length_of

#: Evaluates a JMESPath expression over a JSON value, within the budget.
Search = Callable[[str, Json, Budget], Json]

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


class TemplateFault(Exception):
    """An expression fails, yields nothing where text is needed, or takes more than it may."""


def expressions(template: Json) -> list[str]:
    """Return every expression in the template, in order."""
    if isinstance(template, dict):
        return [e for value in template.values() for e in expressions(value)]
    if isinstance(template, list):
        return [e for value in template for e in expressions(value)]
    if isinstance(template, str):
        return [m[1] for m in _PLACE.finditer(template) if m[1]]
    return []


class Renderer:
    """Renders templates within one budget: all that it renders takes from that."""

    def __init__(self, search: Search, budget: Budget) -> None:
        self._search = search
        self._budget = budget

    def evaluate(self, expression: str, data: JsonObject) -> Json:
        """Return what the expression yields, which is JSON and no larger than a value may be.

        Raises
        ------
        TemplateFault
            If it fails.
        """
        return self._evaluate(expression, data)[0]

    def render(self, template: Json, data: JsonObject) -> Json:
        """Return the template with its expressions replaced by what they yield.

        A text that is one whole expression becomes the value itself, of whatever type; within a
        longer text a value is written as text. `{{` and `}}` stand for the braces.

        Raises
        ------
        TemplateFault
            If an expression fails, or the budget does not suffice.
        """
        try:
            return self._render(template, data)
        except OverBudget as error:
            raise TemplateFault(str(error)) from error

    def render_text(
        self,
        template: str,
        data: JsonObject,
        escape: Callable[[str], str] = lambda text: text,
    ) -> str:
        """Return the text with its expressions replaced by what they yield, escaped.

        Raises
        ------
        TemplateFault
            If an expression fails or yields nothing, or the budget does not suffice.
        """
        try:
            return self._render_text(template, data, escape)
        except OverBudget as error:
            raise TemplateFault(str(error)) from error

    def _render(self, template: Json, data: JsonObject) -> Json:
        if isinstance(template, str):
            whole = _PLACE.fullmatch(template)
            if whole and whole[1]:
                value, size = self._evaluate(whole[1], data)
                self._budget.keep(*size)
                return value
            return self._render_text(template, data)
        self._budget.spend(1)
        if isinstance(template, dict):
            self._budget.keep(1, sum(map(length_of, template)))
            return {key: self._render(value, data) for key, value in template.items()}
        self._budget.keep(1, 0)
        if isinstance(template, list):
            return [self._render(value, data) for value in template]
        return template

    def _render_text(
        self,
        template: str,
        data: JsonObject,
        escape: Callable[[str], str] = lambda text: text,
    ) -> str:
        def replace(place: re.Match[str]) -> str:
            expression = place[1]
            if not expression:
                return place[0][0]
            value, _ = self._evaluate(expression, data)
            if value is None:
                raise TemplateFault(f"expression {expression!r} yields nothing")
            text = escape(value if isinstance(value, str) else json.dumps(value))
            self._budget.keep(0, length_of(text))
            return text

        self._budget.spend(1)
        self._budget.keep(1, length_of(template))
        return _PLACE.sub(replace, template)

    def _evaluate(self, expression: str, data: JsonObject) -> tuple[Json, tuple[int, int]]:
        """Return what the expression yields, and its weight."""
        try:
            value = self._search(expression, data, self._budget)
            return value, self._budget.weigh(value)
        except Exception as error:
            raise TemplateFault(f"expression {expression!r} fails: {error}") from error
