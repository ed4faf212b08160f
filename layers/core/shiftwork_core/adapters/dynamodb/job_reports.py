"""Store what workers report besides outcomes: log lines, and updates that came too late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import items
from shiftwork_core.adapters.dynamodb.attempt_rows import AttemptRows
from shiftwork_core.adapters.dynamodb.expressions import put, update
from shiftwork_core.adapters.dynamodb.lots import KEY, lot_of
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, LateUpdate, LogLine
from shiftwork_core.ports.jobs import MAX_LATE_UPDATES


class DynamoJobReports(AttemptRows):
    """The part of the job store that changes no status."""

    def add_late_update(self, attempt: Attempt, late: LateUpdate) -> None:
        if len(attempt.late_updates) >= MAX_LATE_UPDATES:
            return
        seen = items.late_updates_text(attempt.late_updates)
        self._database.write(
            update(
                self._table,
                items.attempt_key(attempt.request_id, attempt.key),
                c.IS_NEVER_LATE if seen is None else c.IS_LATE_UPDATES_AS_SEEN,
                {"late_updates": items.late_updates_text((*attempt.late_updates, late))},
                {"seen_late_updates": seen or ""},
            )
        )

    def add_logs(
        self, request_id: str, key: AttemptKey, lines: Sequence[LogLine], now: datetime
    ) -> None:
        self._write_side_by_side(
            [
                put(
                    self._table,
                    items.log_item(request_id, key, line, self._expiry(now)),
                    KEY,
                    c.IS_ABSENT,
                )
                for line in dict.fromkeys(lines)
            ]
        )

    def logs(self, request_id: str, key: AttemptKey) -> list[LogLine]:
        rows = self._database.query(
            self._table,
            "#lot = :lot AND begins_with(#key, :prefix)",
            {"lot": lot_of(request_id, key), "prefix": items.log_prefix(key)},
        )
        return sorted(map(items.log_from, rows), key=lambda line: (line.at, line.message))
