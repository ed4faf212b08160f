"""A project's folder and a stack's bucket, for the demos that upload something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

DEFINITION = "kind: job-type\nname: documents.list\ntarget: python\n"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("SHIFTWORK_BUCKET", "documents-bucket")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        bucket = boto3.resource("s3", region_name="us-east-1").Bucket("documents-bucket")
        bucket.create()
        yield bucket


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "documents.yaml").write_text(DEFINITION)
    (tmp_path / "a.md").write_text("# A\n[b](b.py)\n")
    (tmp_path / "b.py").write_text("import os\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
