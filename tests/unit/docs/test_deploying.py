"""Compare the page on deploying with the template, the handlers and the prices.

Each figure that the page gives is computed here from what is deployed; who changes the template
reads in the failure what the page should say.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from benchmarks.costs import read_prices
from shiftwork.local.concurrency import MIN_UNRESERVED
from shiftwork.local.environment_size import MAX_BYTES, Place, environments
from shiftwork.local.template import defaults_of
from shiftwork_core.domain.requests.planning import MAX_INLINE_BATCHES, MAX_WIDE_BATCHES
from tests.template import ROOT, as_text, load_template, resources
from tools.alarms import ALARMS, Alarm

PAGE = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
METRICS = (ROOT / "docs" / "reference" / "cloudwatch.md").read_text()
PRICES = read_prices()
FUNCTIONS = resources("AWS::Serverless::Function")

#: What AWS takes as a month in its examples.
HOURS_A_MONTH = 730
#: List prices of what only this page needs: a secret, a dashboard, an alarm over alarms.
SECRET_USD, DASHBOARD_USD, COMPOSITE_USD = 0.40, 3.00, 0.50


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(heading: str) -> dict[str, str]:
    """Return a section's table: the first cell of each row with the second."""
    found = re.findall(r"^\| (.+?) \| (.+) \|$", section(heading), re.MULTILINE)
    assert found, heading
    return dict(found)


def events(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the functions' events of a kind: the function's name and the event's properties."""
    return [
        (entry["Properties"]["CodeUri"].removeprefix("functions/"), event["Properties"])
        for entry in FUNCTIONS.values()
        for event in entry["Properties"].get("Events", {}).values()
        if event["Type"] == kind
    ]


def calls_a_month() -> Counter[str]:
    """Return how often a month each function's schedules call it, by its folder."""
    defaults = defaults_of(load_template())
    found: Counter[str] = Counter()
    for function, event in events("ScheduleV2"):
        rate = event["ScheduleExpression"]
        text = defaults[rate["Ref"]] if isinstance(rate, dict) else rate
        minutes = re.fullmatch(r"rate\((\d+) minutes?\)", text)
        assert minutes, text
        found[function] += HOURS_A_MONTH * 60 // int(minutes[1])
    return found


def test_the_page_counts_what_is_created_right() -> None:
    kinds = Counter(
        entry["Type"].rpartition("::")[2] for entry in load_template()["Resources"].values()
    )
    queues = [
        e for e in resources("AWS::SQS::Queue").values() if "RedrivePolicy" in e["Properties"]
    ]
    expected = [
        f"{kinds['Function']} functions, {kinds['LayerVersion']} layers",
        f"{kinds['StateMachine']} state machine",
        f"{kinds['Table']} tables",
        f"{kinds['Bucket']} bucket",
        f"{len(queues)} queues, each with a dead-letter queue",
        f"{kinds['Api']} HTTP API",
        f"{kinds['Secret']} secret",
        f"{len(events('ScheduleV2'))} schedules",
        f"{kinds['LogGroup']} log groups",
        f"{kinds['Alarm']} alarms, {kinds['CompositeAlarm']} composite alarm, a dashboard",
    ]
    assert list(rows("What it creates"))[1:] == expected
    assert kinds["Queue"] == 2 * len(queues)
    assert kinds["Dashboard"] == 1


def test_the_page_names_every_function() -> None:
    [named] = [cell for first, cell in rows("What it creates").items() if "functions" in first]
    names = [
        entry["Properties"]["CodeUri"].removeprefix("functions/") for entry in FUNCTIONS.values()
    ]
    assert named.split(", ") == [name.replace("_", "-") for name in names]


def test_the_page_says_which_routes_need_no_token() -> None:
    [said] = [cell for first, cell in rows("What it creates").items() if "HTTP API" in first]
    open_routes = {
        entry["Properties"]["RouteKey"]
        for entry in resources("AWS::ApiGatewayV2::Route").values()
        if entry["Properties"]["AuthorizationType"] == "NONE"
    }
    assert {route.removeprefix("GET ") for route in open_routes} == set(
        re.findall(r"`([^`]+)`", said)
    )


def test_the_price_of_the_alarms_is_that_of_the_metrics_that_they_read() -> None:
    """Each metric costs as much as an alarm of one."""
    read = sum(len(Alarm.named(name).metrics) for name in ALARMS)
    usd = read * PRICES["usd_per_alarm_month"] + COMPOSITE_USD
    said = rows("What it costs")[
        f"the alarms: {read} metrics that they read, and the one that pages"
    ]
    assert said == f"${usd:.2f}; `Alarms=false` saves it"


def test_the_price_of_the_idle_metrics_is_that_of_those_that_are_written_all_the_time() -> None:
    """Those that are measured, and those that a scheduled call writes whatever it finds."""
    measured = METRICS.partition("\n## What is so, measured every minute\n")[2]
    names = set(re.findall(r"^\| `(\w+)`", measured.partition("\n## ")[0], re.MULTILINE))
    for function in calls_a_month():
        handler = (ROOT / "functions" / function / "app.py").read_text()
        names |= set(re.findall(r"\bcount\(Metric\.(\w+), ", handler))
    said = rows("What it costs")[f"{len(names)} metrics that are written while nothing happens"]
    assert said.startswith(f"${len(names) * PRICES['usd_per_metric_month']:.2f};")


def test_the_page_counts_the_scheduled_calls_of_a_month() -> None:
    calls = calls_a_month()
    streams = [stream for function, stream in events("DynamoDB") if function == "count_outcomes"]
    counted = len(streams) * calls["measure_platform"]
    costs = rows("What it costs")
    assert f"{calls.pop('sweep'):,} sweeps: schedules, invocations, reads" in costs
    ticks = calls.pop("schedule_workspaces") + calls.pop("switch_workspaces")
    assert f"{ticks:,} ticks of workspaces" in costs
    counting = (
        f"counting: {calls.pop('measure_platform'):,} calls of MeasurePlatform and {counted:,} of"
        " CountOutcomes, three heartbeats each minute"
    )
    assert counting in costs
    assert not calls, "a function with a schedule is missing on the page"
    assert len(streams) == 3


def test_the_price_of_the_ticks_is_that_of_the_figures_without_the_queue() -> None:
    figures = (ROOT / "docs" / "reference" / "figures.md").read_text()
    idle = re.search(
        r"^\| idle: polling the queue ([\d.]+), .* \| \$([\d.]+) \|$", figures, re.MULTILINE
    )
    assert idle
    [said] = [cell for first, cell in rows("What it costs").items() if "ticks" in first]
    assert said.startswith(f"${float(idle[2]) - float(idle[1]):.2f}, ")


def test_the_page_counts_the_calls_by_which_lambda_polls_queues() -> None:
    queues = len(events("SQS"))
    polling = PRICES["sqs_polling"]
    calls = queues * polling["pollers"] * HOURS_A_MONTH * 3600 // polling["wait_s"]
    said = rows("What it costs")[
        f"Lambda polls the {queues} queues: {calls:,} calls that receive nothing"
    ]
    assert said == f"${calls * PRICES['usd_per_million']['sqs_requests'] / 1e6:.2f}"


def test_the_sum_of_the_page_is_that_of_its_rows() -> None:
    costs = rows("What it costs")
    assert costs["the secret"] == f"${SECRET_USD:.2f}"
    assert costs["the dashboard"].startswith(f"${DASHBOARD_USD:.2f}; ")
    parts = {
        first: float(cell.partition("$")[2].split(",")[0].split(";")[0].split()[0])
        for first, cell in costs.items()
        if "$" in cell and first != "data that is kept"
    }
    saved = sum(usd for first, usd in parts.items() if "`Alarms=false` saves" in costs[first])
    total = sum(parts.values())
    text = " ".join(section("What it costs").split())
    assert f"some ${total:.0f} and the data, or some ${total - saved:.0f} with" in text


def test_what_is_kept_is_what_the_removal_deletes() -> None:
    kept = {
        entry["Type"]
        for entry in load_template()["Resources"].values()
        if entry.get("DeletionPolicy") == "Retain"
    }
    assert set(re.findall(r"\$\(named ([\w:]+)\)", section("Removing it"))) == kept
    created = rows("What it creates")
    said = {
        first.split()[1] for first, cell in created.items() if "**kept** when the stack" in cell
    }
    assert said == {"tables", "bucket"}
    assert kept == {"AWS::DynamoDB::Table", "AWS::S3::Bucket"}


def test_the_room_for_services_is_what_the_other_variables_leave() -> None:
    place = Place("shiftwork-prod", "ap-southeast-2", defaults_of(load_template()))
    used = max(
        len(json.dumps(variables, separators=(",", ":")).encode())
        for variables in environments(load_template(), place).values()
    )
    said = re.search(r"`Services` has about ([\d,]+) bytes", PAGE)
    assert said
    assert abs(int(said[1].replace(",", "")) - (MAX_BYTES - used)) < 100
    assert f"Lambda takes {MAX_BYTES:,} bytes of" in " ".join(PAGE.split())


def test_the_concurrency_of_a_request_is_that_of_the_state_machine() -> None:
    least, most = MAX_INLINE_BATCHES, MAX_WIDE_BATCHES
    assert load_template()["Parameters"]["StepConcurrency"]["Default"] == most
    text = " ".join(section("Before production").split())
    assert f"up to {least} invocations at once for each request, {most:,} for a step" in text
    assert f"keeps {MIN_UNRESERVED} of them unreserved" in text
    assert as_text(FUNCTIONS["RunJobsFunction"]["Properties"]["FunctionName"]).endswith("run-jobs")
