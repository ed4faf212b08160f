"""Import the callbacks as RunJobs does, with S3 in memory."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shiftwork_core.callbacks import Job

FOLDER = Path(__file__).resolve().parents[4] / "functions" / "run_jobs"
BUCKET = "documents-bucket"
PREFIX = "documents/1/"


@pytest.fixture
def documents(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    module = importlib.import_module("callbacks.documents")
    with mock_aws():
        module._client.cache_clear()
        yield module
    module._client.cache_clear()


@pytest.fixture
def orders(documents: ModuleType) -> ModuleType:
    return importlib.import_module("callbacks.orders")


@pytest.fixture
def bucket(documents: ModuleType) -> Any:
    bucket = boto3.resource("s3", region_name="us-east-1").Bucket(BUCKET)
    bucket.create()
    return bucket


@pytest.fixture
def upload(bucket: Any) -> Callable[[dict[str, str]], None]:
    def put(files: dict[str, str]) -> None:
        for name, text in files.items():
            bucket.put_object(Key=f"{PREFIX}files/{name}", Body=text.encode())

    return put


def job(item: Any = None, extras: dict[str, Any] | None = None) -> Job:
    return Job(
        params={"bucket": BUCKET, "prefix": PREFIX},
        extras=extras or {},
        item=item,
        attempt=1,
        request_id="r-1",
        attempt_id="r-1.1.0.1",
        name="job",
        fence=1,
        logger=logging.LoggerAdapter(logging.getLogger("test"), {}),
        stop=Event(),
    )


def item(name: str) -> dict[str, str]:
    return {"name": name, "key": f"{PREFIX}files/{name}"}
