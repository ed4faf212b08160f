"""Step Functions within its quotas: starts, transitions, task tokens, and children of Maps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from benchmarks.quotas.limits import Bucket, quotas
from shiftwork_core.errors import Throttled
from shiftwork_platform.cloud import executions as simulated
from shiftwork_platform.cloud.executions import Execution
from shiftwork_platform.machine.interpreter import State
from shiftwork_platform.machine.paths import Json

if TYPE_CHECKING:
    from benchmarks.quotas.model import Model


class Machine(simulated.Machine):
    """The state machine's executions. Over a quota, starts fail and transitions wait."""

    def __init__(self, model: Model) -> None:
        super().__init__(cast(Any, model))
        self._model = model
        self._starts = self._bucket("StartExecution")
        self._moves = self._bucket("StateTransition")
        self._wakes = self._bucket("SendTaskSuccess")
        limits = quotas()["map"]
        self._children = {
            kind: Bucket(rate, rate, self._now)
            for kind, rate in (
                ("EXPRESS", limits["express_children_a_second"]),
                ("STANDARD", limits["standard_children_a_second"]),
            )
        }
        #: While executions die as soon as they have started.
        self.is_lost = False
        #: When each execution was started, by request and number.
        self.started_s: dict[tuple[str, int], float] = {}
        self.throttled_starts = 0
        self.throttled_wakes = 0
        self.waited_transitions = 0
        #: As AWS bills them: those of Express children are none.
        self.billed_transitions = 0
        self.express_children = 0

    def _now(self) -> float:
        return self._model.hub.now

    def _bucket(self, name: str) -> Bucket:
        limit = quotas()["buckets"][name]
        return Bucket(limit["size"], limit["a_second"], self._now)

    def start(self, request_id: str, execution: int) -> None:
        """Start an execution.

        Raises
        ------
        Throttled
            If too many were started just now.
        """
        if not self._starts.take():
            self.throttled_starts += 1
            raise Throttled("StartExecution: Rate exceeded")
        self.started_s.setdefault((request_id, execution), self._now())
        if not self.is_lost:
            super().start(request_id, execution)

    def wake_execution(self, token: str) -> bool:
        """Wake an execution.

        Raises
        ------
        Throttled
            If too many were woken just now.
        """
        if not self._wakes.take():
            self.throttled_wakes += 1
            raise Throttled("SendTaskSuccess: Rate exceeded")
        return super().wake_execution(token)

    def _enter(self, execution: Execution) -> None:
        super()._enter(execution)
        wait_s = 0.0
        if not isinstance(execution, _ExpressChild):
            self.billed_transitions += 1
            wait_s = self._moves.wait_s()
            self.waited_transitions += wait_s > 0
        self._model.hub.sleep(wait_s + quotas()["assumptions"]["transition_ms"] / 1000)

    def _begin_item(self, execution: Execution, state: State) -> Execution:
        """Return the execution of an item: a child of its own in a distributed Map."""
        processor = state["ItemProcessor"]["ProcessorConfig"]
        if processor["Mode"] != "DISTRIBUTED":
            return execution
        kind = processor["ExecutionType"]
        self._model.hub.sleep(self._children[kind].wait_s())
        # To start a child, of either kind: see `benchmarks.counts`.
        self.billed_transitions += 1
        if kind == "EXPRESS":
            self.express_children += 1
            return _ExpressChild(execution.name, execution.input)
        return execution

    def _read_items(self, parameters: dict[str, str]) -> list[Json]:
        self._model.s3_gets += 1
        items: list[Json] = json.loads(self._model.blobs.get(parameters["Key"]))
        return items


class _ExpressChild(Execution):
    """A child whose transitions cost nothing."""
