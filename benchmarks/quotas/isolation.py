"""Idle workers and a wide step beside people's calls: who is refused, and who waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks.quotas.limits import quotas
from benchmarks.quotas.model import Model
from benchmarks.quotas.scenarios import at_once
from benchmarks.report import Figure
from shiftwork.worker.pauses import Pauses
from shiftwork.worker.poller import WAIT_S
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.services.polling.tasks import Want
from shiftwork_core.services.requests.requests import Submission
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.wiring import Services

#: The server reads a queue so often while a call waits.
_SERVER_INTERVAL_S = 0.5
_BACKOFF_S = 1.0
_POLLED, _WORK, _WIDE, _NARROW = "polled", "work", "wide", "narrow"


@dataclass(frozen=True)
class Crowd:
    """What goes on at once.

    Attributes
    ----------
    is_waiting
        Whether the idle workers wait at the server, as with `--long-poll`.
    begins_s, lasts_s
        When the wide step and people's calls begin, and how long they go on.
    """

    workers: int
    width: int
    is_waiting: bool
    begins_s: float = 30.0
    lasts_s: float = 30.0


class Isolation:
    """A load on a model; `play` plays it, and people submit and call the heartbeat each second."""

    def __init__(self, load: Crowd) -> None:
        self.load = load
        self.model = Model(at_once)
        #: How long each call of people took, and which were refused.
        self.took_s: dict[str, list[float]] = {"submit": [], "heartbeat": []}
        self.refused = dict.fromkeys(self.took_s, 0)
        #: The most environments that were busy before the step began.
        self.held = 0

    def play(self) -> Isolation:
        """Let the time of the load pass."""
        hub = self.model.hub
        hub.spawn("people", self._act)
        hub.run()
        hub.end_actors()
        return self

    def figures(self) -> Iterator[Figure]:
        """Yield what the load shows; a wait at the server is for comparison, and has no budget."""
        functions = self.model.functions
        quota = quotas()["lambda"]["concurrency"]
        yield Figure("environments that the idle workers hold, at most", f"{self.held:,}")
        for name, took in self.took_s.items():
            refused = self.refused[name]
            measured = f"{refused} of {refused + len(took)}"
            is_held = None if self.load.is_waiting else not refused
            yield Figure(f"{name}: refused", measured, "0", is_held)
            yield Figure(f"{name}: the longest, s", f"{max(took, default=0.0):.2f}")
        yield Figure(
            "Lambda: most at once; calls refused",
            f"{functions.peak:,} of {quota:,}; {functions.throttled.total():,}",
        )

    # -- actors --------------------------------------------------------------------------------

    def _act(self) -> None:
        model, load = self.model, self.load
        model.ask(_define)
        model.sweep_each_minute()
        for number in range(load.workers):
            model.hub.spawn(f"worker {number}", partial(self._poll, number))
        model.hub.sleep(load.begins_s)
        self.held = model.functions.peak
        model.hub.spawn("wide", self._submit_wide)
        for _ in range(int(load.lasts_s)):
            model.hub.sleep(1.0)
            for name in self.took_s:
                model.hub.spawn(name, partial(self._call, name))
        model.hub.sleep(5.0)
        model.hub.stop()

    def _poll(self, number: int) -> None:
        """Poll as a process of the SDK does."""
        hub, pauses = self.model.hub, Pauses(self.model.draw)
        hub.sleep(self.load.begins_s * 0.6 * self.model.draw())
        while True:
            called_at = hub.now
            try:
                self.model.functions.call("serve_tasks", partial(self._exchange, f"w{number}"))
            except FunctionError:
                hub.sleep(_BACKOFF_S)
            else:
                if not self.load.is_waiting:
                    hub.sleep(max(0.0, called_at + pauses.next_s(1.0) - hub.now))

    def _exchange(self, worker_id: str, services: Services) -> None:
        deadline = self.model.hub.now + (WAIT_S if self.load.is_waiting else 0.0)
        while True:
            wants = [Want(_POLLED, 1, None)]
            services.tasks.exchange(worker_id, [], wants, [], exchange_id=worker_id)
            if self.model.hub.now + _SERVER_INTERVAL_S > deadline:
                return
            self.model.hub.sleep(_SERVER_INTERVAL_S)

    def _submit_wide(self) -> None:
        while True:
            try:
                return self.model.ask(partial(_submit, _WIDE, self.load.width))
            except FunctionError:
                self.model.hub.sleep(_BACKOFF_S)

    def _call(self, name: str) -> None:
        began = self.model.hub.now
        call = partial(_submit, _NARROW, 1) if name == "submit" else _beat
        try:
            self.model.ask(call)
        except FunctionError:
            self.refused[name] += 1
        else:
            self.took_s[name].append(self.model.hub.now - began)


def _define(services: Services) -> None:
    services.definitions.put(Kind.JOB_TYPE, _POLLED, {"target": "worker"})
    services.definitions.put(Kind.JOB_TYPE, _WORK, {"target": "python", "batch_size": 100})
    job: JsonObject = {"name": "j", "type": _WORK, "for_each": "params.items"}
    for name in (_WIDE, _NARROW):
        body: JsonObject = {"steps": [{"name": "s", "jobs": [job]}]}
        services.definitions.put(Kind.REQUEST_TYPE, name, body)


def _submit(type_: str, width: int, services: Services) -> None:
    services.requests.submit(Submission(type_, {"items": list(range(width))}, {}), None)


def _beat(services: Services) -> None:
    """Answer the heartbeat, which reads nothing."""
