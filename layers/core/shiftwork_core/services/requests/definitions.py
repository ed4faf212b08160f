"""Store versions of request types and job types, and read those that a request has pinned."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.definitions import (
    BLOCK_TARGETS,
    Definition,
    JobType,
    Kind,
    RequestType,
    Target,
)
from shiftwork_core.domain.times import to_iso
from shiftwork_core.errors import AnswerTooLarge, Conflict, FaultAt, Invalid, NotFound
from shiftwork_core.optimistic import LOST, Lost, write_until_won
from shiftwork_core.ports.stores import DefinitionStore, Page
from shiftwork_core.ports.world import Clock

#: Lists without pages, as Conductor's clients expect them, read so many job types at most.
MOST_TYPES = 1_000


class Definitions:
    """The versions of every definition. A version never changes, so it is cached forever."""

    def __init__(self, store: DefinitionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._request_types: dict[tuple[str, int], RequestType] = {}
        self._job_types: dict[tuple[str, int], JobType] = {}

    def put(self, kind: Kind, name: str, body: JsonObject) -> tuple[Definition, bool]:
        """Make `body` the latest version; return it, and whether it is the first of its name.

        A body equal to the latest keeps its version.

        Raises
        ------
        Invalid
            If a request type names job types that do not exist, or that do not go in blocks.
        """
        if kind is Kind.REQUEST_TYPE:
            self.pin_job_types(body)
        return self._add_version(kind, name, body, is_deleted=False)

    def delete(self, kind: Kind, name: str) -> None:
        """Hide the definition. Requests submitted before keep their versions.

        Raises
        ------
        NotFound
            If there is none.
        """
        self.get(kind, name)
        self._add_version(kind, name, {}, is_deleted=True)

    def _add_version(
        self, kind: Kind, name: str, body: JsonObject, *, is_deleted: bool
    ) -> tuple[Definition, bool]:
        def attempt() -> tuple[Definition, bool] | Lost[None]:
            latest = self._store.get(kind, name)
            is_first = latest is None or latest.is_deleted
            if latest and latest.is_deleted == is_deleted and latest.body == body:
                return latest, False
            version = 1 if latest is None else latest.version + 1
            at, shards = to_iso(self._clock()), _most_shards(latest, body)
            candidate = Definition(kind, name, version, body, at, is_deleted, shards)
            return (candidate, is_first) if self._store.put(candidate) else LOST

        busy = Conflict(
            f"{kind.value} {name!r} is being changed by many callers at once",
            "look at the latest version, then send your change again",
        )
        return write_until_won(attempt, busy=busy)

    def get(self, kind: Kind, name: str, version: int | None = None) -> Definition:
        """Return a version, or the latest.

        Raises
        ------
        NotFound
            If there is none, or the latest is a deletion.
        """
        definition = self._store.get(kind, name, version)
        if definition is None or definition.is_deleted:
            which = f"{kind.value} {name!r}" + ("" if version is None else f" version {version}")
            raise NotFound(f"there is no {which}", f"list what there is: GET /v1/{kind.value}s")
        return definition

    def newest_job_type(self, name: str) -> Definition | None:
        """Return the latest version of a job type, which may be a deletion; None: never one."""
        return self._store.get(Kind.JOB_TYPE, name)

    def queue_shards(self, name: str) -> int:
        """Return in how many shards jobs of a type may wait, also of versions before and deleted.

        A type that never was has one, which is empty.
        """
        newest = self.newest_job_type(name)
        return 1 if newest is None else newest.queue_shards

    def find(self, kind: Kind, limit: int, next_token: str | None) -> Page[Definition]:
        """List the latest versions of a kind, by name."""
        return self._store.find(kind, limit, next_token)

    def polled(self) -> list[Definition]:
        """Return the latest version of every job type whose jobs workers do, by name.

        Raises
        ------
        AnswerTooLarge
            If there are more than `MOST_TYPES` job types, of any target, deleted ones counted.
        """
        types = list(islice(self._store.latest(Kind.JOB_TYPE), MOST_TYPES + 1))
        if len(types) > MOST_TYPES:
            raise AnswerTooLarge(
                f"there are more than {MOST_TYPES:,} job types, and this list has no pages",
                "list them page by page: GET /v1/job-types",
            )
        return [d for d in types if not d.is_deleted and d.body.get("target") == Target.WORKER]

    def request_type(self, name: str, version: int) -> RequestType:
        """Return the request type as a request of this version runs it."""
        key = (name, version)
        if key not in self._request_types:
            stored = self._store.get(Kind.REQUEST_TYPE, name, version)
            if stored is None:
                raise NotFound(f"request type {name!r} has no version {version}")
            self._request_types[key] = RequestType.from_body(name, version, stored.body)
        return self._request_types[key]

    def job_type(self, name: str, version: int) -> JobType:
        """Return the job type as a request that pinned this version runs it."""
        key = (name, version)
        if key not in self._job_types:
            stored = self._store.get(Kind.JOB_TYPE, name, version)
            if stored is None:
                raise NotFound(f"job type {name!r} has no version {version}")
            self._job_types[key] = JobType.from_body(name, version, stored.body)
        return self._job_types[key]

    def pin_job_types(self, body: JsonObject) -> dict[str, int]:
        """Return the latest version of every job type that a request type's body names.

        Raises
        ------
        Invalid
            If some do not exist; each place is named.
        """
        latest = {name: self._store.get(Kind.JOB_TYPE, name) for name in _job_types_in(body)}
        faults = [
            FaultAt(f"steps[{s}].jobs[{j}].type", f"there is no job type {job['type']!r}")
            for s, step in enumerate(body["steps"])
            for j, job in enumerate(step["jobs"])
            if (found := latest[job["type"]]) is None or found.is_deleted
        ]
        if not faults:
            refuse_blocks(body, {name: found.body for name, found in latest.items() if found})
        if faults:
            raise Invalid(
                "the request type names job types that do not exist",
                faults,
                "put the job types first: PUT /v1/job-types/{name}, or `shiftwork apply`",
            )
        return {name: found.version for name, found in latest.items() if found is not None}


def refuse_blocks(body: JsonObject, job_types: Mapping[str, JsonObject]) -> None:
    """Refuse a request type with blocks whose job types do not take them.

    Raises
    ------
    Invalid
        If so; each place is named.
    """
    faults = [
        FaultAt(
            f"steps[{s}].jobs[{j}].block",
            f"jobs of target {target!r} each have a row of their own: only RunJobs does blocks,"
            " for the targets python and lambda",
        )
        for s, step in enumerate(body["steps"])
        for j, job in enumerate(step["jobs"])
        if job.get("block") is not None
        and (target := job_types.get(job["type"], {}).get("target", Target.PYTHON))
        not in BLOCK_TARGETS
    ]
    if faults:
        raise Invalid(
            "the request type has blocks of jobs that do not go in blocks",
            faults,
            "leave `block` out, or give the jobs another type",
        )


def _most_shards(before: Definition | None, body: JsonObject) -> int:
    """Return the most shards that a queue of a job type has had.

    They never become fewer: a job may wait for years, in the shard of the version that it follows.
    """
    own: int = (body.get("worker") or {}).get("shards", 1)
    return own if before is None else max(own, before.queue_shards)


def _job_types_in(body: JsonObject) -> list[str]:
    return sorted({job["type"] for step in body["steps"] for job in step["jobs"]})
