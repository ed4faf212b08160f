"""Texts that nothing is called, for every place in a path where a name or an id belongs.

While a test uses `strict_keys`, the stores in memory refuse keys that DynamoDB would refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shiftwork_core.adapters import memory
from shiftwork_core.routes import Route

#: As they stand in a path.
HOSTILE = {
    "3,000 characters": "x" * 3000,
    "1,025 bytes": "x" * 1025,
    "1,025 bytes of few characters": "%F0%9F%98%80" * 256 + "x",
    "201 characters": "x" * 201,
    "no text": "",
    "NUL": "a%00b",
    "a raw NUL": "a\0b",
    "half a surrogate pair": "a%ED%A0%80",
    "a raw half of a surrogate pair": "a\ud800",
    "no UTF-8": "a%FF",
    "no UTF-8, as a gateway unescapes it": "a\ufffd",
    "a cut character": "a%E2%82",
    "a line break": "a%0Ab",
    "a raw line break": "a\nb",
    "a separator of keys": "render%23eu",
    "a raw separator of keys": "render#eu",
    "the folder above": "..",
    "the folder above, escaped": "%2E%2e",
    "this folder": ".",
    "a key of another kind": "key%23" + "0" * 64,
}
#: DynamoDB's bound of a sort key, the smaller of its two.
_MAX_KEY_BYTES = 1024


def paths_of(routes: tuple[Route, ...]) -> list[Any]:
    """Return a parameter of a test for each variable of each route: the route, and its place."""
    return [
        pytest.param(route, place, id=f"{route.method} {route.path} {part}")
        for route in routes
        for place, part in enumerate(route.parts)
        if part.startswith("{")
    ]


def path_with(route: Route, place: int, text: str, names: dict[str, str]) -> str:
    """Return a path of the route with `text` at one place, and existing names at the others."""
    return "/".join(
        text if index == place else names.get(part.strip("{*}"), part.strip("{*}"))
        for index, part in enumerate(route.parts)
    )


def require_strict_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every store in memory fail on a text that could be no key, as DynamoDB fails."""
    for name in memory.__all__:
        store = getattr(memory, name)
        if not name.endswith("Store"):
            continue
        for method, function in list(vars(store).items()):
            if callable(function) and not method.startswith("_"):
                monkeypatch.setattr(store, method, _strict(function))


def _strict(function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*args: Any, **kwargs: Any) -> Any:
        for text in filter(lambda value: isinstance(value, str), args):
            size_bytes = len(text.encode())
            assert 1 <= size_bytes <= _MAX_KEY_BYTES, f"a key of {size_bytes} bytes"
            assert "#" not in text and "\0" not in text and "\n" not in text
        return function(*args, **kwargs)

    return checked
