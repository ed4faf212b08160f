"""The stores in memory: the model for DynamoDB's contract tests, and the simulation's tables.

Every method is atomic. None reads a clock or draws a random number. Rows are immutable, so that
`MemoryTables.copy` is a consistent snapshot, and every index is derived from the rows: a store
given an older snapshot as its `index` lists what a lagging index would.
"""

from __future__ import annotations

from shiftwork_core.adapters.memory.counters import MemoryCountedTables, MemoryCounterStore
from shiftwork_core.adapters.memory.definitions import MemoryBlobStore, MemoryDefinitionStore
from shiftwork_core.adapters.memory.jobs import MemoryJobStore
from shiftwork_core.adapters.memory.limits import MemoryLimitStore
from shiftwork_core.adapters.memory.manifests import MemoryManifestSource
from shiftwork_core.adapters.memory.requests import MemoryRequestStore
from shiftwork_core.adapters.memory.tables import MemoryTables
from shiftwork_core.adapters.memory.workers import MemoryTokenStore, MemoryWorkerStore
from shiftwork_core.adapters.memory.workspaces import (
    MemoryLifecycleJobStore,
    MemoryWorkspaceStore,
)

__all__ = [
    "MemoryBlobStore",
    "MemoryCountedTables",
    "MemoryCounterStore",
    "MemoryDefinitionStore",
    "MemoryJobStore",
    "MemoryLifecycleJobStore",
    "MemoryLimitStore",
    "MemoryManifestSource",
    "MemoryRequestStore",
    "MemoryTables",
    "MemoryTokenStore",
    "MemoryWorkerStore",
    "MemoryWorkspaceStore",
]
