"""The composition root: the only place that builds clients and joins adapters to services.

A file a subject. A file is imported, and a value built, on first use, and kept for the life of the
process: a function pays only for what it calls, such as `bootstrap.requests.recorder()`. Only
`world` is imported at once, for botocore: a Lambda starts with more processor than it runs with.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import TYPE_CHECKING, Any

# What these imports make stays for the life of the process. Looking through it for garbage, again
# and again while it grows, took a tenth of a cold start.
gc.disable()
from shiftwork_core.bootstrap import world  # noqa: E402

gc.freeze()
gc.enable()

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
