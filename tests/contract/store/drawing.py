"""Draw values for the stateful tests, and send their calls to both stores."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from shiftwork_core.adapters.dynamodb.lots import request_of
from shiftwork_core.adapters.memory import MemoryTables
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.blocks import Block, Todo
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import AttemptKey, RequestError, StepStatus
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.ports.shards import SHARDS
from tests.contract.store.conftest import Aws, memory_stores
from tests.contract.store.pair import Call, Pair
from tests.contract.store.rows import FATAL, NOW, RETENTION, Stores

LIVE = (RequestStatus.INPROGRESS, StepStatus.RUNNING, AttemptStatus.INPROGRESS)


def sampled(*values: Any) -> st.SearchStrategy[Any]:
    """Draw one of a few values, so that calls meet the same rows often."""
    return st.sampled_from(values)


def after(*milliseconds: int) -> list[Any]:
    """Return the times that long after the beginning."""
    return [NOW + timedelta(milliseconds=ms) for ms in milliseconds]


request_ids = sampled("r1", "r1", "r2", "r3")
steps = sampled(1, 1, 1, 2)
keys = st.builds(AttemptKey, steps, sampled(0, 1), sampled(1, 1, 2))
moments = st.sampled_from(after(0, 1, 250, 1000, 60_000, 60_001, 900_000, 900_001, 2_000_000))
optional_moments = st.none() | moments
#: An idempotency key expires between two of these.
creations = st.sampled_from(
    after(0, 1, 250, 1000) + [t + RETENTION for t in after(-1, 0, 1, 250, 999, 1000, 60_000)]
)
payloads = sampled(Payload("{}"), Payload('{"pages":3,"title":"Über"}'), Payload(ref="requests/x"))
job_errors = sampled(JobError("Timeout", "late"), JobError("Timeout", "later"), JobError("É", ""))
request_errors = sampled(FATAL, RequestError("PlanFault", "no list", step=1))
counts = sampled({}, {"completed": 1}, {"completed": 2, "new": 1})
attempt_statuses = st.sampled_from(AttemptStatus)
on_failures = st.sampled_from(OnFailure)
limits = sampled(1, 2, 5)
shards = st.none() | st.sampled_from(SHARDS)
blocks = sampled(
    None,
    None,
    Block(1, 0, 2, (Todo(range(2)),)),
    Block(1, 0, 2, (Todo(range(2)),), begun=2, completed=1, retried=1),
    Block(1, 0, 9, (Todo(range(1, 9), 3),), (range(1),), (range(8, 9),), 2, 7, 6, 0, 1),
)
texts = sampled('{"a":1}', '"ü"')
times_sent = sampled(1, 1, 1, 2)


class Machine(RuleBasedStateMachine):
    """What all rules share: the pair of stores, and drawing from its rows."""

    def __init__(self, aws: Aws, adapter: Stores, answers: Counter[tuple[str, str]]) -> None:
        super().__init__()
        tables = MemoryTables()
        self.aws = aws
        self.pair = Pair(tables, memory_stores(tables), adapter)
        self.pair.answers = answers

    def teardown(self) -> None:
        try:
            if not self.pair.have_differed:
                self.pair.read_everything()
                self._compare_keys()
        finally:
            self.aws.clear()

    @precondition(lambda self: self.pair.writes)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """Send an earlier write once more, at any later time."""
        self.pair.send(data.draw(st.sampled_from(self.pair.writes)))

    def _compare_keys(self) -> None:
        """Check that the adapter has exactly the model's rows."""
        parts, attempts = self.pair.row_keys()
        rows = [
            (i["request_id"]["S"], i["part"]["S"]) for i in self.aws.items(self.aws.requests_table)
        ]
        assert {" ".join(row) for row in rows if row[1] != "key"} == parts
        assert sum(part == "key" for _, part in rows) == len(self.pair.tables.keys)
        jobs = [(request_of(i), i["key"]["S"]) for i in self.aws.items(self.aws.jobs_table)]
        assert {row for row in jobs if not row[1].startswith("log#")} == attempts
        tables = self.pair.tables
        assert len(jobs) - len(attempts) == sum(map(len, tables.logs.values()))
        limits = len(tables.rates) + sum(map(len, tables.slots.values()))
        assert len(self.aws.items(self.aws.limits_table)) == limits
        assert len(self.aws.items(self.aws.workers_table)) == len(tables.workers)
        tokens = self.aws.items(self.aws.tokens_table)
        assert {i["token_id"]["S"]: i["used_by"]["S"] for i in tokens} == tables.used_tokens
        workspaces = self.aws.items(self.aws.workspaces_table)
        assert {i["workspace_id"]["S"] for i in workspaces} == set(tables.workspaces)
        planned = self.aws.items(self.aws.lifecycle_jobs_table)
        assert {i["id"]["S"] for i in planned} == set(tables.lifecycle_jobs)
        lines = self.aws.items(self.aws.lifecycle_logs_table)
        assert len(lines) == sum(map(len, tables.lifecycle_logs.values()))

    def write(self, data: st.DataObject, port: str, method: str, *args: Any, **kwargs: Any) -> None:
        """Send a write, once or twice."""
        call = Call(port, method, args, kwargs)
        self.pair.writes.append(call)
        for _ in range(data.draw(times_sent, "times sent")):
            self.pair.send(call)

    def draw_row(
        self, data: st.DataObject, kind: type, otherwise: Any, wanted: tuple[Any, ...] = LIVE
    ) -> Any:
        """Draw a row as it is or once was, or one that nobody has written."""
        now = self.pair.current(kind)
        best = [row for row in now if row.status in wanted]
        return self.draw_of(data, kind, otherwise, best, best, now, self.pair.seen[kind])

    def draw_of(self, data: st.DataObject, kind: type, otherwise: Any, *pools: list[Any]) -> Any:
        """Draw a row from one of several pools that are not all empty."""
        filled = [pool for pool in pools if pool]
        if not filled:
            return otherwise
        return data.draw(st.sampled_from(data.draw(st.sampled_from(filled))), kind.__name__)
