"""Store the slots and rates of limited job types in memory."""

from __future__ import annotations

from datetime import datetime

from shiftwork_core.adapters.memory.tables import MemoryTables
from shiftwork_core.ports.jobs import LimitStore, Slot


class MemoryLimitStore(LimitStore):
    """Slots and rates of limited job types."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    def slots(self, type: str) -> list[Slot]:
        with self._tables.lock:
            return [slot for _, slot in sorted(self._tables.slots.get(type, {}).items())]

    def free(self, slot: Slot) -> None:
        with self._tables.lock:
            slots = self._tables.slots.get(slot.type, {})
            if slots.get(slot.number) == slot:
                del slots[slot.number]

    def reserve(
        self, type: str, window: datetime, count: int, limit: int, expires_at: datetime
    ) -> tuple[int, int]:
        with self._tables.lock:
            used = self._tables.rates.get((type, window), 0)
            granted = max(0, min(count, limit - used))
            if granted:
                self._tables.rates[type, window] = used + granted
            return granted, used + granted

    def used(self, type: str, window: datetime) -> int:
        with self._tables.lock:
            return self._tables.rates.get((type, window), 0)

    def give_back(self, type: str, window: datetime, count: int, used: int) -> None:
        with self._tables.lock:
            if self._tables.rates.get((type, window)) == used:
                self._tables.rates[type, window] = used - count
