"""Build the real services for one process of the cloud: each call of a port may fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.memory import (
    MemoryBlobStore,
    MemoryDefinitionStore,
    MemoryLimitStore,
    MemoryTokenStore,
    MemoryWorkerStore,
)
from shiftwork_platform import wiring
from shiftwork_platform.cloud.process import Process, Remote

if TYPE_CHECKING:
    from shiftwork_platform.cloud.cloud import Cloud


class Services(wiring.Services):
    """The services of a process. `ports` are those that are not the cloud's own."""

    def __init__(self, cloud: Cloud, process: Process, **ports: Any) -> None:
        self.process = process
        self._cloud = cloud

        def remote(adapter: object) -> Any:
            return Remote(process, adapter)

        given: dict[str, Any] = {"new_id": self._new_id_of, "draw": cloud.draw, **ports}
        super().__init__(
            wiring.Ports(
                requests=remote(cloud.store),
                jobs=remote(cloud.jobs),
                limits=remote(MemoryLimitStore(cloud.tables)),
                definitions=remote(MemoryDefinitionStore(cloud.tables)),
                blobs=remote(MemoryBlobStore(cloud.tables)),
                workers=remote(MemoryWorkerStore(cloud.tables)),
                tokens=remote(MemoryTokenStore(cloud.tables)),
                workspaces=remote(cloud.workspaces),
                lifecycle_jobs=remote(cloud.lifecycle_jobs),
                machine=remote(cloud.machine),
                batch_caller=remote(cloud.batch_caller),
                wake_queue=remote(cloud.queue),
                switch_queue=remote(cloud.switch_queue),
                clock=process.clock,
                side_by_side=process.side_by_side,
                sleep=cloud.hub.sleep,
                wait=cloud.hub.sleep,
                worker_id=process.name,
                **given,
            )
        )
        #: What hands a batch to RunJobs.
        self.invoker: Any = remote(cloud.functions)

    def _new_id_of(self, letter: str) -> str:
        new_id = f"{letter}{next(self._cloud.ids)}"
        self.process.claim_ids.append(new_id)
        return new_id
