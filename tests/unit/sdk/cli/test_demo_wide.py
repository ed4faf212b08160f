"""Test `shiftwork demo-wide`: the file it uploads, and what it shows of the request."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from shiftwork.cli.demos.orders import BLOCK, orders
from shiftwork.cli.exit_codes import Exit
from tests.unit.docs.pages import ROOT
from tests.unit.sdk.fake_api import FakeApi, request, step

Run = Callable[..., Result]

SUMS = {"orders": 990, "cents": 1234567}
REPORT = SUMS | {"regions": {"east": SUMS}}


@pytest.fixture
def completed(api: FakeApi) -> FakeApi:
    steps = [step(1, "load", "completed", completed=990, failure=10)]
    done = request(
        "r-1",
        "Completed",
        extras={"report": REPORT},
        steps=steps,
        started_at="2026-01-01T00:00:01Z",
    )
    api.lives["r-1"] = [request("r-1"), done]
    return api


def test_it_uploads_a_file_submits_it_and_shows_the_report(
    run: Run,
    completed: FakeApi,
    bucket: Any,
    project: Path,
) -> None:
    result = run("demo-wide", "--rows", "1000")
    assert result.exit_code == Exit.OK, result.stderr
    [submitted] = [body for body in completed.bodies("POST") if "params" in body]
    manifest = "s3://documents-bucket/manifests/demo-wide.csv"
    assert submitted["type"] == "load-orders"
    assert submitted["params"] == {"bucket": "documents-bucket", "manifest": manifest}
    assert bucket.Object("manifests/demo-wide.csv").get()["Body"].read() == orders(1000)
    assert "1,000 jobs in 4 rows of the jobs table, in 4 s: 250 a second." in result.stdout
    assert "10 failed, which the definition tolerates" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith(("east", "all"))]
    assert rows == [["east", "990", "12,345.67"], ["all", "990", "12,345.67"]]
    assert "shiftwork failures last --csv" in result.stdout


def test_the_report_comes_as_json_too(
    run: Run,
    completed: FakeApi,
    bucket: Any,
    project: Path,
) -> None:
    answer = json.loads(run("demo-wide", "--rows", "100", "-o", "json").stdout)
    assert answer["report"] == REPORT


def test_a_request_that_fails_fails_the_demo(
    run: Run,
    api: FakeApi,
    bucket: Any,
    project: Path,
) -> None:
    api.lives["r-1"] = [request("r-1", "Failed")]
    result = run("demo-wide", "--rows", "100")
    assert result.exit_code == Exit.FAILED
    assert "shiftwork explain r-1" in result.stderr


def test_one_row_of_a_hundred_is_bad() -> None:
    rows = list(csv.DictReader(io.StringIO(orders(1000).decode())))
    assert len(rows) == 1000
    assert [row["id"] for row in rows if not row["amount"].replace(".", "", 1).isdecimal()] == [
        f"o{n:07}" for n in range(100, 1001, 100)
    ]
    assert orders(1000) == orders(1000)


def test_the_demo_knows_the_size_of_the_blocks() -> None:
    text = (ROOT / "definitions" / "orders.yaml").read_text()
    [type] = [one for one in yaml.safe_load_all(text) if one["kind"] == "request-type"]
    assert type["steps"][0]["jobs"][0]["block"] == BLOCK
