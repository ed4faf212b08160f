"""Let somebody else act between two calls of a process, and count a process's calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Act = Callable[[], object]


def before_next(adapter: object, method: str, act: Act) -> None:
    """Let somebody act right before the next call of an adapter's method."""
    call = getattr(adapter, method)

    def late(*args: Any, **named: Any) -> Any:
        setattr(adapter, method, call)
        act()
        return call(*args, **named)

    setattr(adapter, method, late)


def counted(adapter: object, method: str) -> list[Any]:
    """Return a list that gets the first argument of each call from now on."""
    call = getattr(adapter, method)
    calls: list[Any] = []

    def noted(*args: Any, **named: Any) -> Any:
        calls.append(args[0])
        return call(*args, **named)

    setattr(adapter, method, noted)
    return calls


def seen_late(adapter: object, method: str, answer: object) -> None:
    """Let the next call of an adapter's method return what was true before."""
    call = getattr(adapter, method)

    def stale(*args: Any, **named: Any) -> Any:
        setattr(adapter, method, call)
        return answer

    setattr(adapter, method, stale)
