"""The composition root of the functions' code in this process: see `shiftwork_core.bootstrap`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

from shiftwork_core.adapters.memory import (
    MemoryCountedTables,
    MemoryCounterStore,
    MemoryDefinitionStore,
    MemoryWorkerStore,
)
from shiftwork_core.adapters.threads import side_by_side
from shiftwork_core.services.metrics.gauges import GaugeReader, Sources
from shiftwork_core.services.metrics.rebuild import Rebuilder
from shiftwork_core.services.metrics.series import MetricSeries
from shiftwork_core.services.requests.requests import CheckSchema, Requests
from shiftwork_core.settings import Settings
from shiftwork_platform.dev.deployment import DevDeployment
from shiftwork_platform.dev.logs import JobLogs

_MARGIN = timedelta(seconds=5)


class _NoDeadLetters:
    """The queues of this process drop nothing into another."""

    def depths(self) -> dict[str, int]:
        """Return that none waits."""
        return {"wake": 0, "switch": 0}


class DevRoot:
    """What the API's code finds as `bootstrap`: the services of one process."""

    def __init__(self, deployment: DevDeployment, logs: JobLogs) -> None:
        services = deployment.services(deployment.new_process("api"))
        settings = Settings.from_env(
            {"SERVICES": json.dumps(deployment.service_urls), "STAGE": "dev"}
        )
        counters = MemoryCounterStore()
        rules = services.ports.rules

        def requests_service(check_schema: CheckSchema) -> Requests:
            process = deployment.new_process("api")
            return deployment.services(process, check_schema=check_schema).requests

        self.world = SimpleNamespace(
            now=_now,
            new_id=lambda: str(uuid4()),
            settings=lambda: settings,
            client={"logs": logs}.get,
        )
        self.requests = SimpleNamespace(
            definitions=lambda: services.definitions, service=requests_service
        )
        self.polling = SimpleNamespace(tasks=lambda: services.tasks)
        self.watch = SimpleNamespace(records=lambda: services.workers, liveness=lambda: rules)
        self.workers = SimpleNamespace(
            access=lambda: services.access,
            registrations=lambda: services.registrations,
            explainer=lambda: services.worker_explainer,
        )
        self.workspaces = SimpleNamespace(
            service=lambda: services.workspaces, explainer=lambda: services.workspace_explainer
        )
        self.stores = SimpleNamespace(
            jobs=lambda: deployment.jobs, workers=lambda: services.ports.workers
        )
        tables = MemoryCountedTables(deployment.tables)
        rebuilder = Rebuilder(counters, tables, _now, _MARGIN)
        self.metrics = SimpleNamespace(
            series=lambda: MetricSeries(counters, _now), rebuilder=lambda: rebuilder
        )
        sources = Sources(
            definitions=MemoryDefinitionStore(deployment.tables),
            requests=deployment.store,
            jobs=deployment.jobs,
            workers=MemoryWorkerStore(deployment.tables),
            lifecycle_jobs=deployment.lifecycle_jobs,
            counters=counters,
            dead_letters=_NoDeadLetters(),
        )
        reader = GaugeReader(sources, rules, _now, side_by_side)
        self.gauges = SimpleNamespace(reader=lambda: reader)


def _now() -> datetime:
    return datetime.now(UTC)
