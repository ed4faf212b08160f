"""Read which workers a workspace hosts and what they do; drain and resume them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shiftwork_core.domain.requests.queue_names import queue_name
from shiftwork_core.domain.workspaces.lifecycle_jobs import drains
from shiftwork_core.domain.workspaces.specs import Hosts
from shiftwork_core.domain.workspaces.wanted_switches import NOTHING_HOSTED, Hosted
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.workers import WorkerStore
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.polling.queues import has_waiting
from shiftwork_core.services.workers.everyone import every_worker

if TYPE_CHECKING:  # Few workspaces host workers.
    from shiftwork_core.domain.workers.workers import Liveness, Worker
    from shiftwork_core.domain.workspaces.records import LifecycleJob
    from shiftwork_core.services.requests.definitions import Definitions
    from shiftwork_core.services.workers.records import WorkerRecords


class HostedWorkers:
    """Reads queues and worker records, and drains and resumes workers for a stop."""

    def __init__(
        self,
        definitions: Definitions,
        jobs: JobStore,
        store: WorkerStore,
        workers: WorkerRecords,
        clock: Clock,
        rules: Liveness,
    ) -> None:
        self._definitions = definitions
        self._jobs = jobs
        self._store = store
        self._workers = workers
        self._clock = clock
        self._rules = rules

    def of(self, hosts: Hosts | None) -> Hosted:
        """Return the state of the workers of a workspace.

        Costs two reads for each job type and more for further shards of its queue, and a scan of
        the workers' table. A worker that is missed could lose its builds to a stop, so none is:
        neither an index nor a part of the table will do.

        Raises
        ------
        AnswerTooLarge
            If there are too many workers to read. Nothing is switched then.
        """
        if hosts is None:
            return NOTHING_HOSTED
        known = self._known(hosts)
        live = [row for row in known if self._is_live(row)]
        finished = [w.last_build_finished_at for w in live if w.last_build_finished_at is not None]
        return Hosted(
            waiting=self._waiting(hosts),
            running=tuple(build for worker in live for build in worker.running_build_ids),
            finished_at=max(finished, default=None),
            drains=tuple((stop, row.worker_id) for row in known for stop in row.drained_for),
        )

    def undrained(self, hosts: Hosts, stop: LifecycleJob) -> list[str]:
        """Return the live workers of a workspace that neither people nor the stop have drained.

        A worker counts as drained by the stop only if its record and the stop's both say so.
        """
        return [
            row.worker_id
            for row in self._known(hosts)
            if self._is_live(row)
            and not row.is_drained
            and not (stop.id in row.drained_for and drains(stop, row.worker_id))
        ]

    def drain(self, worker_ids: Iterable[str], stop_id: str) -> None:
        """Stop giving jobs to the workers while a stop is in progress."""
        for worker_id in worker_ids:
            try:
                self._workers.drain(worker_id, stop_id=stop_id)
            except NotFound:  # It was pruned meanwhile, so it gets no job anyway.
                continue

    def resume(self, worker_ids: Iterable[str], stop_id: str) -> None:
        """Give jobs again to workers that a stop has drained, unless others keep them drained.

        Safe to repeat, and for workers that the stop has not drained.
        """
        for worker_id in worker_ids:
            try:
                self._workers.resume(worker_id, stop_id=stop_id)
            except NotFound:
                continue

    def _known(self, hosts: Hosts) -> list[Worker]:
        return [row for row in every_worker(self._store) if hosts.is_host_of(row.worker_id)]

    def _is_live(self, row: Worker) -> bool:
        return not row.is_offline(self._clock(), self._rules)

    def _waiting(self, hosts: Hosts) -> str | None:
        now = self._clock()
        for name in hosts.job_types:
            shards = self._definitions.queue_shards(name)
            if has_waiting(self._jobs, queue_name(name, None), shards, now):
                return name
        return None
