"""Switch RDS database instances or clusters, by id or by tags.

RDS itself starts a database that has been stopped for seven days, so that it misses no maintenance.
If the workspace should stay off for longer, the scheduler notices at the next end of a window and
stops it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shiftwork_core.adapters.drivers.groups import (
    Call,
    CallPlan,
    Member,
    batches,
    cannot_now,
    make_calls,
    named,
    plan_lines,
    sighting_of,
    sort_out,
)
from shiftwork_core.adapters.drivers.refusing import refusals_of
from shiftwork_core.adapters.drivers.specs import RdsKind, RdsSpec
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.records import Operation, Sighting, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_rds.type_defs import (
        DBClusterTypeDef,
        DBInstanceTypeDef,
        FilterTypeDef,
        PaginatorConfigTypeDef,
        TagTypeDef,
    )

#: The most databases that one filter names, and that RDS returns in a page.
_BATCH = 100

_STATES = {
    "available": WorkspaceState.RUNNING,
    "stopped": WorkspaceState.STOPPED,
    "starting": WorkspaceState.STARTING,
    "stopping": WorkspaceState.STOPPING,
    # New and returning databases become available in the end.
    "creating": WorkspaceState.STARTING,
    "rebooting": WorkspaceState.STARTING,
    "failing-over": WorkspaceState.STARTING,
}
#: Statuses in which a database is up, or soon will be, but cannot be stopped until they pass.
_BUSY = {
    "backing-up",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "configuring-log-exports",
    "converting-to-vpc",
    "maintenance",
    "modifying",
    "moving-to-vpc",
    "renaming",
    "resetting-master-credentials",
    "storage-config-upgrade",
    "storage-initialization",
    "storage-optimization",
    "upgrading",
}
#: Statuses that need somebody to act, and what to do.
_BROKEN = {
    "failed": "restore it from a snapshot",
    "inaccessible-encryption-credentials": "restore it from a snapshot",
    "inaccessible-encryption-credentials-recoverable": "give RDS its KMS key back",
    "incompatible-create": "delete it and create it again",
    "incompatible-network": "fix its subnets and addresses",
    "incompatible-option-group": "fix its option group",
    "incompatible-parameters": "fix its parameter group",
    "incompatible-restore": "restore it again",
    "insufficient-capacity": "choose another instance class",
    "restore-error": "restore it again",
    "storage-full": "give it more storage",
}

_CORRECT = "correct the ids in the workspace's driver"
_NETWORK = "fix the database's network"
_FINAL = {
    "DBInstanceNotFound": _CORRECT,
    "DBClusterNotFoundFault": _CORRECT,
    "DBSubnetGroupDoesNotCoverEnoughAZs": _NETWORK,
    "DBSubnetGroupNotFoundFault": _NETWORK,
    "InvalidSubnet": _NETWORK,
    "InvalidVPCNetworkStateFault": _NETWORK,
    "KMSKeyNotAccessibleFault": "give RDS the database's KMS key back",
}


@dataclass(frozen=True, slots=True)
class _Database:
    """An instance or a cluster; `unfit` says why it cannot be switched at all."""

    id: str
    status: str
    tags: Mapping[str, str]
    cluster: str = ""
    unfit: str = ""

    @property
    def member(self) -> Member:
        usual = WorkspaceState.RUNNING if self.status in _BUSY else WorkspaceState.UNKNOWN
        return Member(self.id, _STATES.get(self.status, usual), self.status)


class RdsDriver:
    """Driver `rds`: starts and stops databases, one a call, as RDS takes no more."""

    def __init__(self, client: RDSClient) -> None:
        self._client = client

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        """Return the databases' states.

        Tags select no database that is being deleted, and no instance of a cluster: its cluster
        is switched.

        Raises
        ------
        DriverError
            Final if a database named by id does not exist, or none has the tags.
        """
        return sighting_of([database.member for database in self._databases(RdsSpec.of(spec))])

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        """Return the memory as it is: a database keeps what it needs to start again."""
        return memory

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        return plan_lines(self._call_plan(RdsSpec.of(spec), operation))

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        """Start, or stop, the databases that are not on their way."""
        make_calls(self._call_plan(RdsSpec.of(spec), operation))
        return memory

    def _call_plan(self, spec: RdsSpec, operation: Operation) -> CallPlan:
        databases = {database.id: database for database in self._databases(spec)}
        asked, refusals = sort_out(
            (database.member for database in databases.values()),
            operation,
            lambda member: _refusal(databases[member.id], operation),
        )
        calls = [
            Call(
                f"{operation.value} database {spec.kind.value} {member.id}",
                partial(self._ask, spec.kind, operation, member.id),
            )
            for member in asked
        ]
        return CallPlan(calls, refusals)

    def _ask(self, kind: RdsKind, operation: Operation, id: str) -> None:
        is_start = operation is Operation.START
        with refusals_of("rds", f"{operation.value} database {kind.value} {id}", _FINAL):
            if kind is RdsKind.CLUSTER:
                ask = self._client.start_db_cluster if is_start else self._client.stop_db_cluster
                ask(DBClusterIdentifier=id)
            elif is_start:
                self._client.start_db_instance(DBInstanceIdentifier=id)
            else:
                self._client.stop_db_instance(DBInstanceIdentifier=id)

    def _databases(self, spec: RdsSpec) -> list[_Database]:
        found = list(self._by_id(spec) if spec.selection.ids else self._by_tags(spec))
        if not found:
            message = f"no database {spec.kind.value} has the tags {spec.selection}"
            raise DriverError(f"{message}; tag some, or correct the tags", is_final=True)
        return sorted(found, key=lambda database: database.id)

    def _by_id(self, spec: RdsSpec) -> Iterator[_Database]:
        ids = spec.selection.ids
        found = {
            database.id: database
            for batch in batches(ids, _BATCH)
            for database in self._described(spec.kind, batch)
        }
        missing = [id for id in ids if id not in found or found[id].status == "deleting"]
        if missing:
            message = f"there is no database {spec.kind.value} {named(missing)}"
            raise DriverError(f"{message}, or it is being deleted; {_CORRECT}", is_final=True)
        yield from found.values()

    def _by_tags(self, spec: RdsSpec) -> Iterator[_Database]:
        # RDS has no filter for tags, but returns them with every database.
        for database in self._described(spec.kind):
            is_member = spec.selection.matches(database.tags) and not database.cluster
            if is_member and database.status != "deleting":
                yield database

    def _described(self, kind: RdsKind, ids: Sequence[str] = ()) -> list[_Database]:
        filters: list[FilterTypeDef] = []
        if ids:
            filters = [{"Name": f"db-{kind.value}-id", "Values": list(ids)}]
        size: PaginatorConfigTypeDef = {"PageSize": _BATCH}
        with refusals_of("rds", f"look at database {kind.value}s {named(ids)}".rstrip(), _FINAL):
            if kind is RdsKind.CLUSTER:
                clusters = self._client.get_paginator("describe_db_clusters")
                pages = clusters.paginate(Filters=filters, PaginationConfig=size)
                return [_cluster(found) for page in pages for found in page["DBClusters"]]
            instances = self._client.get_paginator("describe_db_instances")
            rows = instances.paginate(Filters=filters, PaginationConfig=size)
            return [_instance(found) for page in rows for found in page["DBInstances"]]


def _instance(found: DBInstanceTypeDef) -> _Database:
    cluster, unfit = found.get("DBClusterIdentifier") or "", ""
    if cluster:
        unfit = f"belongs to cluster {cluster}; name the cluster under `clusters`"
    elif found.get("ReadReplicaDBInstanceIdentifiers"):
        unfit = "has read replicas; take it out of the workspace"
    elif found.get("ReadReplicaSourceDBInstanceIdentifier"):
        unfit = "is a read replica; take it out of the workspace"
    return _Database(
        found["DBInstanceIdentifier"],
        found["DBInstanceStatus"],
        _tags(found.get("TagList", [])),
        cluster,
        unfit,
    )


def _cluster(found: DBClusterTypeDef) -> _Database:
    return _Database(found["DBClusterIdentifier"], found["Status"], _tags(found.get("TagList", [])))


def _tags(found: Sequence[TagTypeDef]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in found}


def _refusal(database: _Database, operation: Operation) -> DriverError | None:
    """Return why RDS would refuse: it stops available databases and starts stopped ones."""
    member = database.member
    if database.unfit:
        return DriverError(f"{database.id} cannot be switched: it {database.unfit}", is_final=True)
    if database.status in _BROKEN:
        message = f"{database.id} cannot be switched while it is {database.status}"
        return DriverError(f"{message}; {_BROKEN[database.status]}", is_final=True)
    ready = "stopped" if operation is Operation.START else "available"
    return None if database.status == ready else cannot_now(member, operation)
