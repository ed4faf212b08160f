"""The composition root: the only place that builds clients and joins adapters to services.

A file a subject. Everything is built on first use and kept for the life of the process, so that a
function pays only for what it calls: `bootstrap.requests.recorder()`.
"""

from shiftwork_core.bootstrap import (
    polling,
    requests,
    stores,
    sweep,
    watch,
    workers,
    workspaces,
    world,
)

__all__ = [
    "polling",
    "requests",
    "stores",
    "sweep",
    "watch",
    "workers",
    "workspaces",
    "world",
]
