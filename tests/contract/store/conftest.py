"""The stores to try, and the one that is tried only where DynamoDB differs from memory."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws
from moto.dynamodb.responses import DynamoHandler

from shiftwork_core.adapters.dynamodb.definitions import DynamoDefinitionStore
from shiftwork_core.adapters.dynamodb.jobs import DynamoJobStore
from shiftwork_core.adapters.dynamodb.requests import DynamoRequestStore
from shiftwork_core.adapters.memory import (
    MemoryBlobStore,
    MemoryDefinitionStore,
    MemoryJobStore,
    MemoryRequestStore,
    MemoryTables,
)
from shiftwork_core.adapters.s3 import S3BlobStore
from tests.contract.store.rows import RETENTION, Stores
from tests.contract.store.tables import create_table

ENDPOINT = os.environ.get("SHIFTWORK_CONTRACT_ENDPOINT")


@dataclass(frozen=True, slots=True)
class Aws:
    """Empty tables and a bucket."""

    dynamodb: Any
    s3: Any
    requests_table: str
    jobs_table: str
    definitions_table: str
    bucket: str

    def stores(self, dynamodb: Any = None, sleep: Any = None) -> Stores:
        """Return stores on these tables, through another client if one is given."""
        client = self.dynamodb if dynamodb is None else dynamodb
        patience = {} if sleep is None else {"sleep": sleep, "draw": lambda: 0.5}
        return Stores(
            requests=DynamoRequestStore(
                client, self.requests_table, retention=RETENTION, **patience
            ),
            jobs=DynamoJobStore(
                client,
                self.jobs_table,
                requests_table=self.requests_table,
                retention=RETENTION,
                **patience,
            ),
            definitions=DynamoDefinitionStore(client, self.definitions_table, **patience),
            blobs=S3BlobStore(lambda: self.s3, self.bucket),
        )

    def request_item(self, request_id: str = "r1", part: str = "request") -> dict[str, Any]:
        """Return a row of the requests table as it is stored."""
        key = {"request_id": {"S": request_id}, "part": {"S": part}}
        return self._item(self.requests_table, key)

    def attempt_item(self, key: object, request_id: str = "r1") -> dict[str, Any]:
        """Return a row of the jobs table as it is stored."""
        row_key = {"request_id": {"S": request_id}, "key": {"S": str(key)}}
        return self._item(self.jobs_table, row_key)

    def _item(self, table: str, key: Any) -> dict[str, Any]:
        item: dict[str, Any] = self.dynamodb.get_item(
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
        # DynamoDB writes a row atomically; moto does so only if one call at a time gets in.
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


@pytest.fixture
def aws(clients: tuple[Any, Any]) -> Iterator[Aws]:
    """Return tables and a bucket of this test alone."""
    dynamodb, s3 = clients
    prefix = f"contract-{uuid.uuid4().hex[:12]}"
    tables = [
        create_table(dynamodb, logical_id, f"{prefix}-{logical_id}")
        for logical_id in ("RequestsTable", "JobsTable", "DefinitionsTable")
    ]
    if ENDPOINT is not None:
        for table in tables:
            dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    s3.create_bucket(Bucket=prefix)
    yield Aws(dynamodb, s3, tables[0], tables[1], tables[2], prefix)
    for table in tables:
        dynamodb.delete_table(TableName=table)
    for found in s3.list_objects_v2(Bucket=prefix).get("Contents", []):
        s3.delete_object(Bucket=prefix, Key=found["Key"])
    s3.delete_bucket(Bucket=prefix)


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Return the stores of a new deployment, of one kind after the other."""
    if request.param == "dynamodb":
        aws: Aws = request.getfixturevalue("aws")
        return aws.stores()
    tables = MemoryTables()
    return Stores(
        requests=MemoryRequestStore(tables, RETENTION),
        jobs=MemoryJobStore(tables),
        definitions=MemoryDefinitionStore(tables),
        blobs=MemoryBlobStore(tables),
    )
