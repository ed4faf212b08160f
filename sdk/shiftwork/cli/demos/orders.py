"""`shiftwork demo-wide`: load a file of many rows, some of them bad, a job for each row."""

from __future__ import annotations

import csv
import io
import random
from datetime import datetime
from itertools import islice

from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import NotConfigured
from shiftwork.api.shapes import JsonObject, Request
from shiftwork.cli.demos.documents import apply_definitions, s3_client, watch_to_completion
from shiftwork.cli.render.output import Output
from shiftwork.cli.render.tables import Column, Shape

_REQUEST_TYPE = "load-orders"
#: As the definition says.
BLOCK = 250
_KEY = "manifests/demo-wide.csv"
_HEADER = ("id", "region", "customer", "amount")
_REGIONS = ("north", "east", "south", "west")
#: Of so many rows one is bad: less than the definition tolerates.
_ONE_BAD_OF = 100
_BAD_AMOUNTS = ("n/a", "", "12,50", "-3.00", "1e99")
_SHOWN = 5
_REPORT = (Column("REGION", shape=Shape.END), Column("ORDERS", 6), Column("AMOUNT", 7))
_FAILURES = (Column("JOB", shape=Shape.END), Column("WHY", 7, Shape.CUT, least=24))


def run(client: ShiftworkClient, rows: int, output: Output) -> None:
    """Generate the file, upload it, have its rows loaded, show the report and what failed.

    Raises
    ------
    typer.Exit
        If the request did not complete.
    """
    env = client.config.env
    bucket = env.get("SHIFTWORK_BUCKET")
    if not bucket:
        raise NotConfigured("SHIFTWORK_BUCKET is not set: the demo has no bucket for its file.")
    apply_definitions(client, output)
    content = orders(rows)
    s3_client(env).put_object(Bucket=bucket, Key=_KEY, Body=content)
    output.message(f"Uploaded {rows:,} rows ({len(content) / 1e6:.1f} MB), of which 1 % are bad.")
    submitted = client.submit(
        _REQUEST_TYPE, {"bucket": bucket, "manifest": f"s3://{bucket}/{_KEY}"}
    )
    request = watch_to_completion(client, submitted["request_id"], output)
    if output.is_json:
        output.json({"request": request, "report": request["extras"]["report"]})
    else:
        _show(client, output, request)


def orders(rows: int) -> bytes:
    """Return a CSV of so many orders, always the same."""
    draw = random.Random(rows)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(_HEADER)
    for number in range(1, rows + 1):
        amount = f"{draw.randrange(100, 100_000) / 100:.2f}"
        if number % _ONE_BAD_OF == 0:
            amount = draw.choice(_BAD_AMOUNTS)
        customer = f"Customer {draw.randrange(10_000)}, Ltd."
        lines.writerow((f"o{number:07}", draw.choice(_REGIONS), customer, amount))
    return text.getvalue().encode()


# -- after ---------------------------------------------------------------------------------------


def _show(client: ShiftworkClient, output: Output, request: Request) -> None:
    report: JsonObject = request["extras"]["report"]
    step = request["steps"][0]
    jobs, failed = step["job_count"], step["jobs"]["failure"]
    output.line()
    output.paragraph(
        f"{jobs:,} jobs in {-(-jobs // BLOCK):,} rows of the jobs table{_speed(request, jobs)}. "
        f"{failed:,} failed, which the definition tolerates."
    )
    output.line()
    output.table(_REPORT, _sums(report), "the report")
    output.line()
    failures = list(islice(client.failures(request["request_id"]), _SHOWN))
    output.table(
        _FAILURES,
        [(one["job"], one["error"]["message"] if one["error"] else "") for one in failures],
        "shiftwork failures last",
    )
    if (more := failed - len(failures)) > 0:
        output.line(f"… and {more:,} more")
    output.line()
    output.suggestions(
        [
            ("shiftwork failures last --csv", "every row that failed, and why"),
            ("shiftwork show last", "the request and its steps"),
            ("shiftwork jobs last", "its jobs, page by page"),
            ("shiftwork retry last", "run just the failed ones again, once they are mended"),
            ("shiftwork demo-wide --rows N", "the same with another number of rows"),
            ("shiftwork down", "stop the stack"),
        ]
    )


def _speed(request: Request, jobs: int) -> str:
    """Return how long the request took, and how many jobs a second that is."""
    if request["started_at"] is None or request["completed_at"] is None:
        return ""
    times = (request["started_at"], request["completed_at"])
    began, ended = (datetime.fromisoformat(time.replace("Z", "+00:00")) for time in times)
    took_s = max((ended - began).total_seconds(), 0.1)
    return f", in {took_s:.0f} s: {jobs / took_s:,.0f} a second"


def _sums(report: JsonObject) -> list[tuple[str, str, str]]:
    """Return a row for each region, and one for all."""
    sums = {**report["regions"], "all": report}
    return [(name, f"{of['orders']:,}", f"{of['cents'] / 100:,.2f}") for name, of in sums.items()]
