"""Run a block of jobs: claim it, do its jobs in lanes side by side, record what became of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from threading import Event

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.block_jobs import block_of
from shiftwork_core.domain.requests.blocks import MAX_LANES, lanes_of, wave_of
from shiftwork_core.domain.requests.budgets import Budget
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.manifests.items import Item, ItemFault
from shiftwork_core.domain.requests.manifests.places import ManifestFault
from shiftwork_core.domain.requests.outcomes import Completed, Failed, JobError, Outcome, Retryable
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request
from shiftwork_core.domain.requests.templates import Renderer, Search, TemplateFault
from shiftwork_core.domain.texts import text_of
from shiftwork_core.errors import Transient
from shiftwork_core.ports.world import DoAtOnce, JobInput, Runtime
from shiftwork_core.services.requests.block_work import MAX_HELD_BYTES, BlockWork, Running
from shiftwork_core.services.requests.do_job import do_job, mistake
from shiftwork_core.services.requests.held import Batch, BatchHost, Held, Lane
from shiftwork_core.services.requests.holding import RECORDING, Holder, Left
from shiftwork_core.services.requests.outcome_writer import Recording, Result
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.records import RequestRecords

logger = logging.getLogger("shiftwork.batches")


@dataclass(frozen=True, slots=True)
class BlockInputs:
    """What the jobs of a block are given. They share the params and extras of their request.

    `template` is what their own params are made by; None: they have none.
    """

    params: Json
    extras: JsonObject
    items: list[Item | ItemFault]
    template: JsonObject | None
    search: Search

    @classmethod
    def read(
        cls, records: RequestRecords, search: Search, request: Request, attempt: Attempt
    ) -> BlockInputs:
        """Read what is given to the jobs of an attempt's block."""
        spec = records.type_of(request).steps[attempt.key.step - 1]
        return cls(
            records.payloads.unpack(request.params),
            records.payloads.unpack_object(request.extras),
            records.items_of(attempt),
            spec.entry(attempt.name).params,
            search,
        )

    def of(self, running: Running) -> JobInput:
        """Return the input of one job.

        Raises
        ------
        TemplateFault
            If its params cannot be made.
        ManifestFault
            If its item cannot be read.
        """
        found, params = self.items[running.place], self.params
        if isinstance(found, ItemFault):
            raise ManifestFault(found.message)
        item = found.value
        if self.template is not None:
            data = {"params": self.params, "extras": self.extras, "item": item}
            params = Renderer(self.search, Budget()).render(self.template, data)
        return JobInput(running.job, params, self.extras, item, running.stop)


class BlockRunner:
    """Runs blocks in the process of a batch, one after the other."""

    def __init__(
        self,
        *,
        records: RequestRecords,
        recorder: OutcomeRecorder,
        holder: Holder,
        host: BatchHost,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._recorder = recorder
        self._holder = holder
        self._host = host
        self._runtime = runtime

    def run(self, batch: Batch, key: AttemptKey) -> Result | Left:
        """Claim an attempt at a block, do its jobs and record what became of them.

        Jobs that there was no time for, or that its request's end came before, are not begun. They
        are left to the next attempt, which begins at once.
        """
        if batch.has_ended.is_set() or self._runtime.clock() >= batch.ends_at:
            return Left.UNTOUCHED
        if batch.stuck >= MAX_LANES:
            return Left.UNTOUCHED  # Each process has room for so many threads.
        attempt = self._holder.claim(batch.request, key)
        if isinstance(attempt, Left):
            return attempt
        batch.is_wide = attempt.is_wide
        work = self._work(batch, attempt)
        batch.held[key] = work.held
        try:
            recording = self._do_and_record(batch, work, work.held)
        finally:
            batch.held.pop(key, None)
            batch.stuck += len(work.stuck)
        if (result := recording.result) is Result.FAILURE and work.ends_request:
            batch.has_ended.set()
        return result

    def _do_and_record(self, batch: Batch, work: BlockWork, held: Held) -> Recording:
        """Do the jobs, and record what became of them, also if a lane has died.

        Raises
        ------
        BaseException
            What a lane has died of, or a store's error.
        """
        attempt = work.attempt

        def may_wait_until(moment: datetime) -> bool:
            return not held.is_lost and moment < batch.ends_at + RECORDING

        error = None
        inputs = self._holder.insist(
            partial(self._read, batch, attempt), may_wait_until, partial(self._holder.renew, batch)
        )
        self._holder.renew(batch)  # A manifest may take long to read.
        if isinstance(inputs, BlockInputs):
            error = self._do_all(batch, work, held, inputs)
        else:
            work.outcomes = dict.fromkeys(block_of(attempt).places, inputs)
        recording = self._holder.insist(
            partial(self._recorder.record_block, attempt, work.what_ended()), may_wait_until
        )
        batch.record(attempt, recording)
        if error is not None:
            raise error
        return recording

    def _work(self, batch: Batch, attempt: Attempt) -> BlockWork:
        job_type = self._records.job_type_of(attempt)
        lanes = lanes_of(job_type.batch_size)
        target = self._host.target_for(job_type.target)
        do_at_once = None if target is None else target.at_once(job_type)
        return BlockWork(
            attempt,
            Held(attempt, batch.ends_at, Event()),
            timedelta(seconds=job_type.timeout_s),
            min(lanes, MAX_LANES - batch.stuck) if do_at_once is None else 1,
            wave_of(block_of(attempt), lanes),
            ends_request=attempt.on_failure is OnFailure.STOP,
            is_first=not batch.recorded,
            do_at_once=do_at_once,
        )

    def _read(self, batch: Batch, attempt: Attempt) -> BlockInputs | Outcome:
        """Return the input of the block's jobs, or the outcome of all of them."""
        try:
            return BlockInputs.read(self._records, self._host.search, batch.request, attempt)
        except Transient:
            raise
        except ManifestFault as fault:  # Asking again changes nothing.
            return Failed(JobError("ManifestFault", str(fault)))
        except Exception as error:  # Such as an object of the blob store that is gone.
            return mistake("the input of a block cannot be read", attempt, error)

    # -- its jobs ------------------------------------------------------------------------------

    def _do_all(
        self, batch: Batch, work: BlockWork, held: Held, inputs: BlockInputs
    ) -> BaseException | None:
        """Do the jobs, all at once or wave by wave; return an error by which a lane ended."""
        while True:
            error = self._do_wave(batch, work, held, inputs)
            if error is not None or not work.begins_wave(self._runtime.clock()):
                return error
            # Written down before it begins: if it ends this process, it has had its try.
            batch.renew_at = self._runtime.clock()
            if not self._renew(batch, work, held):
                return None  # The next attempt does the rest.

    def _do_wave(
        self, batch: Batch, work: BlockWork, held: Held, inputs: BlockInputs
    ) -> BaseException | None:
        lanes = {Lane() for _ in range(min(work.lanes - len(work.stuck), work.left))}
        calls = {lane: partial(self._do_in_lane, work, inputs, lane) for lane in lanes}
        error: BaseException | None = None
        for ended in self._host.side_by_side(calls, partial(self._tick_s, batch, work)):
            lanes -= ended.keys()
            error = next(filter(None, (call.exception() for call in ended.values())), error)
            self._renew(batch, work, held)
            work.give_up(self._runtime.clock())
            if lanes <= work.stuck:
                break
        return error

    def _do_in_lane(self, work: BlockWork, inputs: BlockInputs, lane: Lane) -> None:
        if work.do_at_once is not None:
            while taken := work.take_all(lane, self._runtime.clock()):
                _do_at_once(work, inputs, taken, work.do_at_once)
            return
        while (running := work.take(lane, self._runtime.clock())) is not None:
            try:
                outcome = self._do_one(inputs, running)
            except BaseException as error:
                work.end(running, _lost_by(error))
                raise
            work.end(running, outcome)

    def _do_one(self, inputs: BlockInputs, running: Running) -> Outcome:
        job = _input_of(inputs, running)
        if not isinstance(job, JobInput):
            return job
        job_type = self._records.job_type_of(running.job)
        return do_job(self._host.target_for(job_type.target), job_type, running.job, lambda: job)

    # -- meanwhile -----------------------------------------------------------------------------

    def _tick_s(self, batch: Batch, work: BlockWork) -> float:
        """Return the seconds until the next deadline or renewal of the lease."""
        next_at = min(work.next_deadline(), batch.renew_at)
        return max((next_at - self._runtime.clock()).total_seconds(), 0.01)

    def _renew(self, batch: Batch, work: BlockWork, held: Held) -> bool:
        """Every third of a lease, renew it, and write down how far the block is.

        False: that failed.
        """
        if self._runtime.clock() < batch.renew_at:
            return True
        is_packed = False
        attempt, results = work.progress()
        try:
            output = self._records.payloads.pack(attempt.request_id, results.to_json())
        except Exception:  # The lease is worth more.
            logger.warning("progress not stored", extra=attempt.log_keys, exc_info=True)
        else:
            held.attempt, is_packed = replace(attempt, output=output), True
        return self._holder.renew(batch) and is_packed


def _input_of(inputs: BlockInputs, running: Running) -> JobInput | Outcome:
    """Return a job's input, or its outcome if it has none."""
    try:
        return inputs.of(running)
    except TemplateFault as fault:
        return Failed(JobError("ParamsFault", str(fault)))
    except ManifestFault as fault:
        return Failed(JobError("ItemFault", str(fault)))


def _do_at_once(
    work: BlockWork, inputs: BlockInputs, taken: list[Running], do_at_once: DoAtOnce
) -> None:
    """Do jobs by one call, but for those that have no input."""
    jobs: list[tuple[Running, JobInput]] = []
    for running in taken:
        job = _input_of(inputs, running)
        if isinstance(job, JobInput):
            jobs.append((running, job))
        else:
            work.end(running, job)
    if not jobs:
        return
    try:
        outcomes = do_at_once([job for _, job in jobs])
    except BaseException as error:
        for running, _ in jobs:
            work.end(running, _lost_by(error))
        raise
    for (running, _), outcome in zip(jobs, outcomes, strict=True):
        # They have been done, so the next attempt cannot do the rest.
        work.end(running, outcome if work.has_room else _without_result(outcome))


def _without_result(outcome: Outcome) -> Outcome:
    if not isinstance(outcome, Completed):
        return outcome
    message = (
        f"the jobs of its block returned more than {MAX_HELD_BYTES:,} bytes by one call; let them "
        "store what is large and return where it lies, or make the block smaller"
    )
    return Failed(JobError("ResultTooLarge", message))


def _lost_by(error: BaseException) -> Outcome:
    return Retryable(JobError(type(error).__name__, text_of(error)))
