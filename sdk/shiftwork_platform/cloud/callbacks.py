"""Call callbacks in virtual time: what ends their process passes through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from greenlet import getcurrent, greenlet

from shiftwork_core.adapters.targets.python import CallbackOf, PythonTarget
from shiftwork_core.callbacks import Callback, Job, PerBlock, Said
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.outcomes import Outcome
from shiftwork_core.ports.world import DoAtOnce, JobInput


class Watch(Protocol):
    """Who is told of each job that is done."""

    def begun(self, job: JobInput) -> None:
        """Learn that a job is about to be done."""

    def ended(self, job: JobInput, outcome: Outcome) -> None:
        """Learn what came of it."""


class Callbacks(PythonTarget):
    """Holds whatever callbacks raise, but for `passing`: that ends the actor, and is no outcome."""

    def __init__(
        self, callback_of: CallbackOf, passing: tuple[type[BaseException], ...], watch: Watch
    ) -> None:
        super().__init__(self._guarded)
        self._find = callback_of
        self._passing = passing
        self._watch = watch
        self._escaped: dict[greenlet, BaseException] = {}

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        """Do a job. Nobody acts between what is raised and the look at it."""
        self._watch.begun(job)
        outcome = super().run(job_type, job)
        self._let_pass()
        self._watch.ended(job, outcome)
        return outcome

    def at_once(self, job_type: JobType) -> DoAtOnce | None:
        """Return how a callback for blocks does many jobs."""
        do = super().at_once(job_type)
        if do is None:
            return None
        do_all = do

        def do_at_once(jobs: Sequence[JobInput]) -> list[Outcome]:
            for job in jobs:
                self._watch.begun(job)
            outcomes = do_all(jobs)
            self._let_pass()
            for job, outcome in zip(jobs, outcomes, strict=True):
                self._watch.ended(job, outcome)
            return outcomes

        return do_at_once

    def _let_pass(self) -> None:
        if (escaped := self._escaped.pop(getcurrent(), None)) is not None:
            raise escaped

    def _guarded(self, name: str) -> Callback | None:
        function = self._find(name)
        if function is None:
            return None
        if isinstance(function, PerBlock):
            block = function.function

            def do_block(jobs: list[Job]) -> Sequence[Said]:
                try:
                    return block(jobs)
                except self._passing as escaped:
                    self._escaped[getcurrent()] = escaped
                    raise

            return PerBlock(do_block)
        callback = function

        def do(job: Job) -> JsonObject | None:
            try:
                return callback(job)
            except self._passing as escaped:
                self._escaped[getcurrent()] = escaped
                raise

        return do
