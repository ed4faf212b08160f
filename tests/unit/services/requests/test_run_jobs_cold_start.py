"""What the first batch of a new process reads."""

from __future__ import annotations

import pytest

from shiftwork_core.adapters.memory import MemoryDefinitionStore
from shiftwork_core.domain.requests.definitions import Definition, Kind
from tests.world.world import World


def test_a_batch_reads_a_job_type_once_and_before_it_claims_anything(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.job_type("work", lambda job: None, batch_size=20)
    world.request_type("wide", [{"name": "j", "type": "work", "for_each": "params.items"}])
    request_id = world.submit("wide", items=list(range(20)))
    decision = world.advancer.advance(request_id, 1)
    read: list[list[str]] = []

    class ColdStore(MemoryDefinitionStore):
        def get(self, kind: Kind, name: str, version: int | None = None) -> Definition | None:
            read.append(sorted({a.status.value for a in world.attempts(request_id)}))
            return super().get(kind, name, version)

    monkeypatch.setattr(world.definitions, "_store", ColdStore(world.tables))
    monkeypatch.setattr(world.definitions, "_job_types", {})
    [batch] = decision.batches
    world.invoke("RunJobs", {"request_id": request_id, "jobs": batch["jobs"]})
    assert read == [["new"]]
    assert world.statuses(request_id) == [f"j[{n}] 1 completed" for n in range(20)]
