"""The composition root: the only place that builds clients and joins adapters to services.

A file a subject. A file is imported, and a value built, on first use, and kept for the life of the
process: a function pays only for what it calls, such as `bootstrap.requests.recorder()`. Only
`world` is imported at once, for boto3: a Lambda starts with more processor than it runs with.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from shiftwork_core.bootstrap import world

if TYPE_CHECKING:
    from shiftwork_core.bootstrap import (
        gauges,
        metrics,
        polling,
        requests,
        stores,
        sweep,
        watch,
        workers,
        workspaces,
    )

__all__ = [
    "gauges",
    "metrics",
    "polling",
    "requests",
    "stores",
    "sweep",
    "watch",
    "workers",
    "workspaces",
    "world",
]


def __getattr__(name: str) -> Any:
    """Import the file of a subject when it is first named."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
