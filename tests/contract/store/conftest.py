"""Fixtures: the stores to test, and the tables for tests of DynamoDB alone."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.responses import DynamoHandler
from moto.s3.models import s3_backends

from benchmarks.quotas.tables import Tables
from shiftwork_core.adapters.aws.blobs import S3BlobStore
from shiftwork_core.adapters.dynamodb import namespaces
from shiftwork_core.adapters.dynamodb.attempt_rows import JobTables
from shiftwork_core.adapters.dynamodb.counted_tables import (
    CountedTableNames,
    DynamoCountedTables,
)
from shiftwork_core.adapters.dynamodb.counters import DynamoCounterStore
from shiftwork_core.adapters.dynamodb.definitions import DynamoDefinitionStore
from shiftwork_core.adapters.dynamodb.items import attempt_key
from shiftwork_core.adapters.dynamodb.jobs import DynamoJobStore
from shiftwork_core.adapters.dynamodb.lifecycle_jobs import DynamoLifecycleJobStore, LifecycleTables
from shiftwork_core.adapters.dynamodb.limits import DynamoLimitStore
from shiftwork_core.adapters.dynamodb.namespaces import NamespacedClient, TableKeys, to_row
from shiftwork_core.adapters.dynamodb.payload_rows import TieredBlobStore
from shiftwork_core.adapters.dynamodb.requests import DynamoRequestStore
from shiftwork_core.adapters.dynamodb.steps import RequestTables
from shiftwork_core.adapters.dynamodb.workers import DynamoTokenStore, DynamoWorkerStore
from shiftwork_core.adapters.dynamodb.workspaces import DynamoWorkspaceStore
from shiftwork_core.adapters.memory import (
    MemoryBlobStore,
    MemoryCountedTables,
    MemoryCounterStore,
    MemoryDefinitionStore,
    MemoryJobStore,
    MemoryLifecycleJobStore,
    MemoryLimitStore,
    MemoryRequestStore,
    MemoryTables,
    MemoryTokenStore,
    MemoryWorkerStore,
    MemoryWorkspaceStore,
)
from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_platform.sqlite import SqliteTables
from tests.contract.store.rows import NOW, RETENTION, WORKERS_KEPT, Stores
from tests.contract.store.tables import create_table

_TABLES = (
    "RequestsTable",
    "PayloadsTable",
    "BatchesTable",
    "JobsTable",
    "LimitsTable",
    "DefinitionsTable",
    "WorkersTable",
    "TokensTable",
    "WorkspacesTable",
    "WorkspaceLifecycleJobsTable",
    "WorkspaceLifecycleJobLogsTable",
    "CountersTable",
)
ENDPOINT = os.environ.get("SHIFTWORK_CONTRACT_ENDPOINT")


@dataclass(frozen=True, slots=True)
class Aws:
    """Empty tables and a bucket."""

    dynamodb: Any
    s3: Any
    bucket: str
    requests_table: str
    payloads_table: str
    batches_table: str
    jobs_table: str
    limits_table: str
    definitions_table: str
    workers_table: str
    tokens_table: str
    workspaces_table: str
    lifecycle_jobs_table: str
    lifecycle_logs_table: str
    counters_table: str

    @property
    def keys(self) -> dict[str, TableKeys]:
        """Return what stores call the partition keys of each table."""
        return {
            self.requests_table: namespaces.REQUESTS,
            self.payloads_table: namespaces.PAYLOADS,
            self.batches_table: namespaces.BATCHES,
            self.jobs_table: namespaces.JOBS,
            self.limits_table: namespaces.LIMITS,
            self.definitions_table: namespaces.DEFINITIONS,
            self.workers_table: namespaces.WORKERS,
            self.tokens_table: namespaces.TOKENS,
            self.workspaces_table: namespaces.WORKSPACES,
            self.lifecycle_jobs_table: namespaces.LIFECYCLE_JOBS,
            self.lifecycle_logs_table: namespaces.LIFECYCLE_LOGS,
            self.counters_table: namespaces.COUNTERS,
        }

    @property
    def rows(self) -> NamespacedClient:
        """Return a client that reads and writes rows as the stores know them."""
        return NamespacedClient(self.dynamodb, self.keys)

    def stores(self, dynamodb: Any = None, sleep: Any = None, drawn: float = 0.5) -> Stores:
        """Return stores on these tables, through another client if one is given.

        With `sleep` nothing is random: every drawn number is `drawn`.
        """
        client = self.dynamodb if dynamodb is None else dynamodb
        patience = {} if sleep is None else {"sleep": sleep, "draw": lambda: drawn}
        return Stores(
            requests=DynamoRequestStore(
                client,
                RequestTables(self.requests_table, self.batches_table),
                retention=RETENTION,
                **patience,
            ),
            jobs=DynamoJobStore(
                client,
                JobTables(self.jobs_table, self.requests_table, self.limits_table),
                retention=RETENTION,
                **patience,
            ),
            limits=DynamoLimitStore(client, self.limits_table, **patience),
            definitions=DynamoDefinitionStore(client, self.definitions_table, **patience),
            blobs=TieredBlobStore(
                client,
                self.payloads_table,
                S3BlobStore(lambda: self.s3, self.bucket),
                lambda: NOW,
                **patience,
            ),
            workers=DynamoWorkerStore(client, self.workers_table, kept=WORKERS_KEPT, **patience),
            tokens=DynamoTokenStore(client, self.tokens_table, **patience),
            workspaces=DynamoWorkspaceStore(client, self.workspaces_table, **patience),
            lifecycle_jobs=DynamoLifecycleJobStore(
                client,
                LifecycleTables(
                    self.lifecycle_jobs_table, self.lifecycle_logs_table, self.workspaces_table
                ),
                retention=RETENTION,
                **patience,
            ),
            counters=DynamoCounterStore(client, self.counters_table, **patience),
            counted_tables=DynamoCountedTables(
                client,
                CountedTableNames(self.requests_table, self.jobs_table, self.lifecycle_jobs_table),
                **patience,
            ),
        )

    def request_item(self, request_id: str = "r1", part: str = "request") -> dict[str, Any]:
        """Return a row of the requests table as it is stored."""
        key = {"request_id": {"S": request_id}, "part": {"S": part}}
        return self._item(self.requests_table, key)

    def attempt_item(self, key: AttemptKey, request_id: str = "r1") -> dict[str, Any]:
        """Return a row of the jobs table as it is stored."""
        return self._item(self.jobs_table, attempt_key(request_id, key))

    def worker_item(self, worker_id: str) -> dict[str, Any]:
        """Return a row of the workers table as it is stored."""
        return self._item(self.workers_table, {"worker_id": {"S": worker_id}})

    def workspace_item(self, workspace_id: str) -> dict[str, Any]:
        """Return a row of the workspaces table as it is stored."""
        return self._item(self.workspaces_table, {"workspace_id": {"S": workspace_id}})

    def lifecycle_job_item(self, job_id: str) -> dict[str, Any]:
        """Return a row of the lifecycle jobs' table as it is stored."""
        return self._item(self.lifecycle_jobs_table, {"id": {"S": job_id}})

    def items(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table, as its stores know them."""
        return [to_row(self.keys[table], item) for item in self.stored(table)]

    def stored(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table as they are stored."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def clear(self) -> None:
        """Empty the tables and the bucket."""
        if ENDPOINT is None:
            # Through moto's API this takes longer than most tests.
            backend = dynamodb_backends[DEFAULT_ACCOUNT_ID][self.dynamodb.meta.region_name]
            for empty in backend.tables.values():
                empty.items.clear()
            self.empty_bucket()
            return
        for table in self.keys:
            schema = self.dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]
            names = [part["AttributeName"] for part in schema]
            keys = [{name: item[name] for name in names} for item in self.stored(table)]
            for start in range(0, len(keys), 25):
                deletes = [{"DeleteRequest": {"Key": key}} for key in keys[start : start + 25]]
                self.dynamodb.batch_write_item(RequestItems={table: deletes})
        for found in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", []):
            self.s3.delete_object(Bucket=self.bucket, Key=found["Key"])

    def empty_bucket(self) -> None:
        """Empty moto's bucket; through its API this takes longer than most tests."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[self.bucket].keys.clear()

    def _item(self, table: str, key: Any) -> dict[str, Any]:
        item: dict[str, Any] = self.rows.get_item(
            TableName=table, Key=key, ConsistentRead=True
        ).get("Item", {})
        return item


@pytest.fixture(scope="session")
def clients() -> Iterator[tuple[Any, Any]]:
    """Return clients of DynamoDB and S3."""
    config = Config(max_pool_connections=60, retries={"mode": "standard"})
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, os.environ.get(name, "test"))
        region = os.environ.get("AWS_REGION", "us-east-1")
        if ENDPOINT is not None:
            yield (
                boto3.client("dynamodb", region, endpoint_url=ENDPOINT, config=config),
                boto3.client("s3", region, endpoint_url=ENDPOINT, config=config),
            )
            return
        # DynamoDB writes a row atomically; moto does so only for one call at a time.
        lock = threading.Lock()
        answer = DynamoHandler.call_action

        def one_at_a_time(handler: Any) -> Any:
            with lock:
                return answer(handler)

        patch.setattr(DynamoHandler, "call_action", one_at_a_time)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        with mock_aws():
            yield (
                boto3.client("dynamodb", region, config=config),
                boto3.client("s3", region, config=config),
            )


@contextmanager
def _deployment(clients: tuple[Any, Any]) -> Iterator[Aws]:
    dynamodb, s3 = clients
    prefix = f"contract-{uuid.uuid4().hex[:12]}"
    tables = [
        create_table(dynamodb, logical_id, f"{prefix}-{logical_id}") for logical_id in _TABLES
    ]
    if ENDPOINT is not None:
        for table in tables:
            dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    s3.create_bucket(Bucket=prefix)
    aws = Aws(dynamodb, s3, prefix, *tables)
    try:
        yield aws
    finally:
        aws.clear()
        for table in tables:
            dynamodb.delete_table(TableName=table)
        s3.delete_bucket(Bucket=prefix)


@pytest.fixture(scope="session")
def deployed(clients: tuple[Any, Any]) -> Iterator[Aws]:
    """Return tables and a bucket that only this process uses."""
    with _deployment(clients) as aws:
        yield aws


@pytest.fixture
def aws(clients: tuple[Any, Any], request: pytest.FixtureRequest) -> Iterator[Aws]:
    """Return empty tables and an empty bucket that only this test uses."""
    if ENDPOINT is None:
        aws: Aws = request.getfixturevalue("deployed")
        yield aws
        aws.clear()
        return
    # DynamoDB remembers a transaction's token for ten minutes, whatever became of its rows: the
    # same transaction of another test on the same tables would count as carried out.
    with _deployment(clients) as aws:
        yield aws


class ModelledAws(Aws):
    """The quota model's tables in place of DynamoDB's: they answer alike, and much faster."""

    def stored(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table as they are stored."""
        return list(self.dynamodb.table(table).rows.values())

    def clear(self) -> None:
        """Empty the tables, and the bucket if there is one."""
        if self.bucket:
            self.empty_bucket()
        for logical_id in _TABLES:
            self.dynamodb.delete_table(TableName=logical_id)
            create_table(self.dynamodb, logical_id, logical_id)


@pytest.fixture
def modelled() -> ModelledAws:
    """Return empty tables of the quota model."""
    tables = Tables()
    for logical_id in _TABLES:
        create_table(tables, logical_id, logical_id)
    return ModelledAws(tables, None, "", *_TABLES)


@pytest.fixture(params=["memory", "sqlite", "dynamodb", "quotas"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """Return the stores of a new deployment: in memory, in a file, in DynamoDB, in the quota model.

    The last shows that the quota model's tables answer as DynamoDB does.
    """
    if request.param == "dynamodb":
        aws: Aws = request.getfixturevalue("aws")
        yield aws.stores()
    elif request.param == "memory":
        yield memory_stores(MemoryTables())
    elif request.param == "sqlite":
        file: Path = request.getfixturevalue("tmp_path") / "tables.sqlite"
        tables = SqliteTables(file)
        yield memory_stores(tables)
        # Whatever the test did, another process finds the same rows.
        reopened = SqliteTables(file)
        assert rows_of(reopened) == rows_of(tables)
        tables.close()
        reopened.close()
    else:
        modelled: ModelledAws = request.getfixturevalue("modelled")
        blobs = memory_stores(MemoryTables()).blobs
        yield replace(modelled.stores(sleep=lambda seconds: None), blobs=blobs)


def rows_of(tables: MemoryTables) -> dict[str, Any]:
    """Return all rows; a part of a table that has none is left out."""
    found = {one.name: getattr(tables, one.name) for one in fields(MemoryTables) if one.compare}
    for name, rows in found.items():
        if isinstance(rows, dict):
            found[name] = {key: row for key, row in rows.items() if row != {}}
    return found


def memory_stores(tables: MemoryTables) -> Stores:
    """Return the stores in memory on these tables."""
    return Stores(
        requests=MemoryRequestStore(tables, RETENTION),
        jobs=MemoryJobStore(tables),
        limits=MemoryLimitStore(tables),
        definitions=MemoryDefinitionStore(tables),
        blobs=MemoryBlobStore(tables),
        workers=MemoryWorkerStore(tables),
        tokens=MemoryTokenStore(tables),
        workspaces=MemoryWorkspaceStore(tables),
        lifecycle_jobs=MemoryLifecycleJobStore(tables),
        counters=MemoryCounterStore(),
        counted_tables=MemoryCountedTables(tables),
    )
