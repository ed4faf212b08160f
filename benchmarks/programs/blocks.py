"""Plan or settle a step of blocks in the process of AdvanceRequest; print its peak memory in MB.

    python -m benchmarks.programs.blocks plan 1000000 100
    python -m benchmarks.programs.blocks settle 1000000 100

The items are rows of a gzip CSV, which is generated as it is read; results are collected as lines.
Tables and S3 answer at once and keep nothing, so that they are not measured.
"""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.programs.settle import peak_mb
from shiftwork_core import bootstrap
from shiftwork_core.domain.payloads import Payload, to_json
from shiftwork_core.domain.requests.blocks import Results, progressed, whole_block
from shiftwork_core.domain.requests.definitions import (
    Collect,
    JobSpec,
    JobType,
    RequestType,
    StepSpec,
    Target,
)
from shiftwork_core.domain.requests.manifests.places import Place
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request, Step
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.requests.step_state import classify_step
from shiftwork_core.ports.manifests import Found
from shiftwork_core.ports.stores import Write
from shiftwork_core.services.requests.lasting import LastingWork
from shiftwork_core.services.requests.manifests import Manifests
from shiftwork_core.services.requests.results import attempts_of, extras_after

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
_PIECE_ROWS = 10_000


class Store:
    """Takes every write, and has the rows of a step that has been done."""

    def __init__(self, jobs: int, block: int) -> None:
        self._jobs = jobs
        self._block = block
        self.inserted = 0

    def insert(self, attempts: Sequence[Attempt]) -> int:
        """Count them."""
        self.inserted += len(attempts)
        return 0

    def add_step(self, step: Step) -> Write[Step]:
        """Return the step as written."""
        return Write(True, step)

    def postpone_due(self, request_id: str, due_at: datetime) -> None:
        """Do nothing."""

    def of_step(self, request_id: str, step: int) -> Iterator[Attempt]:
        """Yield blocks whose jobs have completed, each with a small result."""
        for row, first in enumerate(range(0, self._jobs, self._block)):
            size = min(self._block, self._jobs - first)
            results = Results({place: {"id": first + place, "ok": True} for place in range(size)})
            block = whole_block(first, first, size)
            yield Attempt(
                request_id,
                AttemptKey(step, row, 1),
                "load",
                "rows.load",
                1,
                NOW,
                status=AttemptStatus.COMPLETED,
                output=Payload(to_json(results.to_json())),
                block=progressed(block, results, size),
            )


class Source:
    """A gzip CSV of so many rows."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def look(self, place: Place) -> Found:
        """Return what tells this version from others."""
        return Found(self._rows, '"one"')

    def stream(self, place: Place, etag: str, start: int) -> Iterator[bytes]:
        """Yield the packed rows."""
        pack = zlib.compressobj(wbits=31)
        yield pack.compress(b"id,name,amount\n")
        for first in range(0, self._rows, _PIECE_ROWS):
            text = io.StringIO()
            for number in range(first, min(first + _PIECE_ROWS, self._rows)):
                text.write(f'{number},"Customer {number}, Ltd.",{number % 997}.00\n')
            yield pack.compress(text.getvalue().encode())
        yield pack.flush()


class Definitions:
    """The types of the request."""

    def request_type(self, name: str, version: int) -> RequestType:
        """Return a request type of one wide step."""
        entry = JobSpec(
            "load",
            "rows.load",
            block=BLOCK,
            for_each_in="params.manifest",
            collect=Collect.MANIFEST,
        )
        return RequestType(name, version, (StepSpec("load", (entry,)),))

    def job_type(self, name: str, version: int) -> JobType:
        """Return its job type."""
        return JobType(name, version, Target.PYTHON)


class Client:
    """S3, which takes every object."""

    def put_object(self, **asked: Any) -> None:
        """Do nothing."""


what, JOBS, BLOCK = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def main() -> None:
    """Plan or settle, after all that the function imports."""
    client: Any = Client()
    bootstrap.world.client = lambda _: client  # type: ignore[assignment]
    bootstrap.requests.advancer()
    store: Any = Store(JOBS, BLOCK)
    source: Any = Source(JOBS)
    definitions: Any = Definitions()
    payloads = bootstrap.requests.payloads()
    records = replace(
        bootstrap.requests.records(),
        requests=store,
        jobs=store,
        definitions=definitions,
        manifests=lambda: Manifests(source, payloads, lambda place: True),
    )
    request = Request(
        "r",
        "wide",
        1,
        {"rows.load": 1},
        Payload('{"manifest":"s3://bucket/rows.csv.gz"}'),
        Payload("{}"),
        NOW,
        status=RequestStatus.INPROGRESS,
        current_step=1,
    )
    runtime = bootstrap.world.runtime()
    rows = -(-JOBS // BLOCK)
    if what == "plan":
        planner = bootstrap.requests.advancer()._planner
        planner._records = records
        step, _ = planner.plan(request)
        assert (step.job_count, store.inserted) == (JOBS, rows)
    else:
        attempts = attempts_of(records, "r", 1)
        assert classify_step(attempts, 0, NOW, timedelta(minutes=2)).is_settled
        work = LastingWork(store, runtime, request)
        spec = definitions.request_type("wide", 1).steps[0]
        extras = extras_after(records, request, spec, attempts, work)
        assert extras["load"]["count"] == JOBS
    print(peak_mb())


if __name__ == "__main__":
    main()
