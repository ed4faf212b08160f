"""Draw the calls of docs/reference/python-client.md: `python tools/draw_client.py`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import fill
from typing import Any

from shiftwork.api.client import ShiftworkClient

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "python-client.md"
_BEGIN, _END = "<!-- calls -->\n", "<!-- /calls -->\n"
#: Each module of calls, in the order of the page, with its heading.
_HEADINGS = {
    "requests": "Requests, their jobs and logs",
    "definitions": "Definitions",
    "workers": "Workers",
    "tasks": "Tasks, as workers and their tools call them",
    "workspaces": "Workspaces and lifecycle jobs",
    "service": "The service",
}
_RESULT = re.compile(r"(Call|Pages)\[(.*)\]$")


def calls() -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Yield each call of the client: its module, its name as a method, and its function."""
    for name, method in vars(ShiftworkClient).items():
        function = getattr(method, "__wrapped__", None)
        if function is not None:
            yield function.__module__.rpartition(".")[2], name, function


def _signature(name: str, function: Callable[..., Any]) -> str:
    """Return the call as a program writes it, with its defaults and what it returns."""
    signature = inspect.signature(function)
    kind, shape = _RESULT.match(str(signature.return_annotation)).groups()  # type: ignore[union-attr]
    result = f"Iterator[{shape}]" if kind == "Pages" else shape
    parameters = str(signature.replace(return_annotation=inspect.Signature.empty))
    # Annotations are texts here, which `inspect` quotes.
    return f"{name}{parameters}".replace("'", "").replace('"', "'") + f" -> {result}"


def _wrapped(signature: str) -> str:
    """Return the signature on one line, or one parameter a line if it is long."""
    if len(signature) <= 100:
        return signature
    name, _, rest = signature.partition("(")
    inner, _, result = rest.rpartition(") -> ")
    parameters = re.split(r", (?=\w+: |\*)", inner)
    lines = "".join(f"    {parameter},\n" for parameter in parameters)
    return f"{name}(\n{lines}) -> {result}"


def drawn() -> str:
    """Return the calls in Markdown."""
    parts = []
    for module, heading in _HEADINGS.items():
        parts.append(f"### {heading}\n\n")
        for own, name, function in calls():
            if own == module:
                said = " ".join((inspect.getdoc(function) or "").partition("\n\nParam")[0].split())
                text = fill(said, 120)
                parts.append(f"```text\n{_wrapped(_signature(name, function))}\n```\n\n{text}\n\n")
    return "".join(parts)


def page() -> str:
    """Return the page with its calls as they should be."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}\n{drawn()}{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page())
