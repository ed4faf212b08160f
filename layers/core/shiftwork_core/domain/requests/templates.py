"""Templates in definitions: `{expression}` is JMESPath over `{params, extras, item}`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from shiftwork_core.domain.payloads import Json, JsonObject

#: Evaluates a JMESPath expression over a JSON value.
Search = Callable[[str, Json], Json]

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


class TemplateFault(Exception):
    """An expression fails, or yields nothing where text is needed."""


def expressions(template: Json) -> list[str]:
    """Return every expression in the template, in order."""
    if isinstance(template, dict):
        return [e for value in template.values() for e in expressions(value)]
    if isinstance(template, list):
        return [e for value in template for e in expressions(value)]
    if isinstance(template, str):
        return [m[1] for m in _PLACE.finditer(template) if m[1]]
    return []


def render(template: Json, data: JsonObject, search: Search) -> Json:
    """Return the template with its expressions replaced by what they yield.

    A text that is one whole expression becomes the value itself, of whatever type; within a longer
    text a value is written as text. `{{` and `}}` stand for the braces.

    Raises
    ------
    TemplateFault
        If an expression fails.
    """
    if isinstance(template, dict):
        return {key: render(value, data, search) for key, value in template.items()}
    if isinstance(template, list):
        return [render(value, data, search) for value in template]
    if not isinstance(template, str):
        return template
    whole = _PLACE.fullmatch(template)
    if whole and whole[1]:
        return _evaluate(whole[1], data, search)
    return render_text(template, data, search)


def render_text(
    template: str,
    data: JsonObject,
    search: Search,
    escape: Callable[[str], str] = lambda text: text,
) -> str:
    """Return the text with its expressions replaced by what they yield, escaped.

    Raises
    ------
    TemplateFault
        If an expression fails or yields nothing.
    """

    def replace(place: re.Match[str]) -> str:
        expression = place[1]
        if not expression:
            return place[0][0]
        value = _evaluate(expression, data, search)
        if value is None:
            raise TemplateFault(f"expression {expression!r} yields nothing")
        return escape(value if isinstance(value, str) else json.dumps(value))

    return _PLACE.sub(replace, template)


def _evaluate(expression: str, data: JsonObject, search: Search) -> Json:
    try:
        return search(expression, data)
    except Exception as error:
        raise TemplateFault(f"expression {expression!r} fails: {error}") from error
