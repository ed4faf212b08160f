"""Give types a name of their own in CloudWatch, up to a number: each costs money every month."""

from __future__ import annotations

import logging

from shiftwork_core.ports.metrics import CounterStore

logger = logging.getLogger("shiftwork.metrics")

#: So many types have a name of their own; the rest are `other`.
MAX_TYPES = 100
OTHER = "other"


class TypeLabels:
    """Names the types that were seen first by themselves, the same in every process."""

    def __init__(self, counters: CounterStore) -> None:
        self._counters = counters
        self._named: frozenset[str] = frozenset()

    def label(self, type: str) -> str:
        """Return the type, or `other` if it came too late, or that cannot be found out."""
        if type not in self._named and len(self._named) < MAX_TYPES:
            try:
                self._named = self._counters.named_types(type, MAX_TYPES)
            except Exception:  # The metric is worth more than its label.
                logger.warning("the type's name is not known", exc_info=True)
        return type if type in self._named else OTHER
