"""What goes on in the workers that workspaces host: whether work waits, and whether they build."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shiftwork_core.domain.lifecycle import NOTHING_HOSTED, Hosted, Hosts
from shiftwork_core.domain.picking import queue_name
from shiftwork_core.errors import NotFound
from shiftwork_core.ports import Clock, JobStore, WorkerStore

if TYPE_CHECKING:  # Few workspaces host workers.
    from shiftwork_core.domain.workers import Liveness, Worker
    from shiftwork_core.services.workers import Workers


class Hosting:
    """Looks at queues and at worker records, and drains and resumes workers."""

    def __init__(
        self,
        jobs: JobStore,
        store: WorkerStore,
        workers: Workers,
        clock: Clock,
        rules: Liveness,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._workers = workers
        self._clock = clock
        self._rules = rules

    def of(self, hosts: Hosts | None) -> Hosted:
        """Return what goes on in the workers of a workspace.

        Costs a read a queue, and a scan of the workers' table, which is small.
        """
        if hosts is None:
            return NOTHING_HOSTED
        crew = list(self._crew(hosts))
        finished = [w.last_build_finished_at for w in crew if w.last_build_finished_at is not None]
        return Hosted(
            waiting=self._waiting(hosts),
            running=tuple(build for worker in crew for build in worker.running_build_ids),
            finished_at=max(finished, default=None),
        )

    def undrained(self, hosts: Hosts) -> list[str]:
        """Return the live workers of a workspace that are given jobs."""
        return [worker.worker_id for worker in self._crew(hosts) if not worker.is_drained]

    def drain(self, worker_ids: Iterable[str]) -> None:
        """Have the workers given nothing more."""
        for worker_id in worker_ids:
            try:
                self._workers.drain(worker_id)
            except NotFound:  # It was pruned meanwhile: it is given nothing anyway.
                continue

    def resume(self, worker_ids: Iterable[str]) -> None:
        """Have workers that were drained given jobs again, once they poll."""
        for worker_id in worker_ids:
            try:
                self._workers.resume(worker_id)
            except NotFound:
                continue

    def _crew(self, hosts: Hosts) -> Iterable[Worker]:
        now = self._clock()
        for worker in self._store.all():
            if hosts.is_host_of(worker.worker_id) and not worker.is_offline(now, self._rules):
                yield worker

    def _waiting(self, hosts: Hosts) -> str | None:
        now = self._clock()
        for name in hosts.job_types:
            if self._jobs.queued(queue_name(name, None), now, 1):
                return name
        return None
