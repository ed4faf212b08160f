"""The deployment that a test runs on: definitions, what its jobs do, and the worker that polls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from random import Random
from typing import Any, TypeVar

from greenlet import getcurrent

from shiftwork_core.adapters.schemas.check import check_schema
from shiftwork_core.adapters.targets.python import CallbackOf
from shiftwork_core.callbacks import BROKEN_MODULES, Callback, Job, PerBlock
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.definitions import Target
from shiftwork_core.domain.requests.outcomes import Outcome
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.workspaces.records import Workspace
from shiftwork_core.ports.world import JobInput
from shiftwork_platform.cloud import schedules
from shiftwork_platform.cloud.callbacks import Callbacks
from shiftwork_platform.cloud.cloud import Cloud
from shiftwork_platform.cloud.faults import Faults
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.hub import Actor, Killed, Signal
from shiftwork_platform.cloud.process import Process, moment
from shiftwork_platform.cloud.services import Services
from shiftwork_platform.cloud.tables import AnyRow
from shiftwork_platform.cloud.tracing import Trace
from shiftwork_platform.guarantees.invariants import Violation
from shiftwork_platform.testing.stubs import GoneSilent, StubbedJob
from shiftwork_platform.testing.worker import StubWorker

Answer = TypeVar("Answer")

#: A call of a test may need so many switches between actors: some million jobs.
_MAX_SWITCHES = 50_000_000


class NoStub(BaseException):
    """A job was to be done by something outside of the test, and the test does not say how.

    It is no Exception, so that the engine does not handle it as a failure of the job.
    """


class Deployment(Cloud):
    """A deployment whose jobs do what a test says.

    Parameters
    ----------
    stubs:
        What the test says of job types, by name; a name that is missing is added.
    targets:
        The targets of all job types, by name.
    """

    def __init__(
        self,
        stubs: dict[str, StubbedJob],
        targets: Mapping[str, str],
        callback_of: CallbackOf,
        faults: Faults,
        chance: Random,
        trace: Trace,
    ) -> None:
        super().__init__(chance, faults, trace, self)
        self.hub.MAX_SWITCHES = _MAX_SWITCHES
        self._stubs = stubs
        self._targets = targets
        self._callback_of = callback_of
        self._is_without_stub = False
        self._callbacks = Callbacks(self._stubbed, (Killed, NoStub, Violation), self)
        schedules.spawn(self)
        polled = sorted(name for name, target in targets.items() if target == Target.WORKER)
        self._worker = StubWorker(self, polled) if polled else None
        if self._worker is not None:
            self.hub.spawn("worker", self._worker.live)

    # -- the cloud -----------------------------------------------------------------------------

    def services_of(self, process: Process) -> Services:
        """Return the services of a process; every job's target is the test."""
        return Services(
            self, process, target_for=lambda _: self._callbacks, check_schema=check_schema
        )

    def changed(self, old: AnyRow | None, new: AnyRow) -> None:
        """Wake the worker when something is put into a queue; see `Observer`."""
        is_queued = isinstance(new, Attempt) and new.is_polled and new.status is AttemptStatus.NEW
        if is_queued and self._worker is not None:
            self._worker.wake()

    def deleted(self, old: Workspace) -> None:
        """See `Observer`."""

    def begun(self, job: JobInput) -> None:
        """See `Watch`."""

    def ended(self, job: JobInput, outcome: Outcome) -> None:
        """See `Watch`."""

    @property
    def now(self) -> datetime:
        """Return the virtual time."""
        return moment(self.hub.now)

    # -- jobs ----------------------------------------------------------------------------------

    @property
    def callbacks(self) -> Callbacks:
        """What does jobs, also those of workers."""
        return self._callbacks

    def _stubbed(self, name: str) -> Callback | None:
        """Return what does the jobs of a type."""
        stubbed = self._stubs.setdefault(name, StubbedJob(name))
        is_python = self._targets.get(name, Target.PYTHON) == Target.PYTHON
        callback = self._callback_of(name) if is_python else None
        if isinstance(callback, PerBlock) and not stubbed.has_rules:
            return PerBlock(partial(_do_block, stubbed, callback))
        return partial(self._do, stubbed, callback)

    def _do(self, stubbed: StubbedJob, callback: Callback | None, job: Job) -> JsonObject | None:
        stubbed.calls.append(job)
        rule = stubbed.rule_for(job)
        if rule is None and callback is None:
            if self._is_without_stub:  # The test has failed by the first of them.
                raise Killed
            self._is_without_stub = True
            raise NoStub(self._how_to_stub(stubbed.name))
        try:
            if rule is None:
                assert callback is not None
                return callback(job)
            if rule.takes:
                self.hub.sleep(rule.takes.total_seconds())
            return rule.act(job)
        except GoneSilent:
            process = self.hub.actor.group
            assert isinstance(process, Process)
            process.kill()
            raise Killed from None

    def _how_to_stub(self, name: str) -> str:
        target = self._targets.get(name, Target.PYTHON)
        if target == Target.PYTHON:
            broken = "; ".join(f"{module}: {why}" for module, why in BROKEN_MODULES.items())
            why = f" (some cannot be imported: {broken})" if broken else ""
            return (
                f"no callback is named {name!r}{why}, and the test does not say what its jobs do; "
                f'write the callback, or engine.job("{name}").returns({{...}})'
            )
        return (
            f"jobs of type {name!r} are done outside of the test (target: {target}); "
            f'say what comes of them: engine.job("{name}").returns({{...}})'
        )

    # -- running -------------------------------------------------------------------------------

    def ask(self, call: Callable[[Services], Answer]) -> Answer:
        """Make a call of the API, as an actor beside all others; return its answer.

        Raises
        ------
        Exception
            What the call raises; `FunctionError` if the API's process died.
        """
        answers: list[tuple[Any, Exception | None]] = []

        def act() -> None:
            try:
                answers.append((self.functions.call("api", call), None))
            except FunctionError as error:
                answers.append((None, error.raised or error))

        self.run(act, lambda: bool(answers))
        answer, error = answers[0]
        if error is not None:
            raise error
        result: Answer = answer
        return result

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass, and all happen that does meanwhile."""
        over: list[bool] = []

        def act() -> None:
            self.hub.sleep(seconds)
            over.append(True)

        self.run(act, lambda: bool(over) and self.hub.is_quiet)

    def wait_for(self, request_id: str, timeout_s: float) -> bool:
        """Let time pass until a request has ended; return False if it does not in time."""
        ended: list[bool] = []

        def act() -> None:
            if not self.tables.requests[request_id].has_ended:
                signal = self.tables.ends.setdefault(request_id, Signal(self.hub))
                self.hub.wait(signal, timeout_s)
            ended.append(self.tables.requests[request_id].has_ended)

        self.run(act, lambda: bool(ended))
        return ended[0]

    def run(self, act: Callable[[], None], until: Callable[[], bool]) -> None:
        """Add an actor, and let all act until something is so."""
        self.hub.spawn("test", act)
        self.hub.switches = 0
        with self._virtual_sleep():
            self.hub.run(until)

    @contextmanager
    def _virtual_sleep(self) -> Iterator[None]:
        """Let `time.sleep` in callbacks take virtual time."""
        real = time.sleep

        def sleep(seconds: float, /) -> None:
            if isinstance(getcurrent(), Actor):
                self.hub.sleep(seconds)
            else:
                real(seconds)

        time.sleep = sleep  # type: ignore[assignment]  # It takes no SupportsIndex.
        try:
            yield
        finally:
            time.sleep = real


def _do_block(stubbed: StubbedJob, block: PerBlock, jobs: list[Job]) -> Any:
    stubbed.calls.extend(jobs)
    return block.function(jobs)
