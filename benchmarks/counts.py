"""Count what requests use of AWS, from the calls that the deployed functions make."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.costs import (
    BUDGET_USD,
    Invocations,
    Usage,
    cost_of_a_million,
    read_prices,
    width_within,
)
from benchmarks.deployment import Deployment, aws, wait_for
from benchmarks.meter import Call, Meter, check_accounting
from benchmarks.report import Figure, Section, at_most
from shiftwork_core.services.requests.call import MAX_CALLED_BATCHES

MAX_TRANSITIONS_A_STEP = 4  # and one more for each batch
MAX_WRITE_UNITS = 3.5
#: AdvanceRequest, WhatNext? and RequestEnded: once for each request.
_LAST_ROUND = 3
#: It works for no single request; `_sweep` counts its calls.
_IDLE = "SweepFunction"
#: They run by the clock or by the streams, and an emulator's stream, which knows no window, calls
#: far too often: `benchmarks.counting` says what counting costs.
_BESIDE = {_IDLE, "CountOutcomesFunction", "MeasurePlatformFunction"}
_NOT_DUE = 50


@dataclass(frozen=True, slots=True)
class Scenario:
    """A request of one shape."""

    steps: int
    width: int
    batch_size: int

    @property
    def name(self) -> str:
        """Return its name in the tables."""
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        return f"{steps} of {self.width:,} jobs, {self.batch_size} a batch"

    @property
    def jobs(self) -> int:
        """Return how many jobs it has."""
        return self.steps * self.width

    @property
    def batches_a_step(self) -> int:
        """Return how many batches a step is cut into."""
        return -(-self.width // self.batch_size)

    @property
    def is_called(self) -> bool:
        """Return whether AdvanceRequest calls its batches, rather than the state machine."""
        return self.batches_a_step <= MAX_CALLED_BATCHES

    @property
    def max_transitions_a_step(self) -> int:
        """Return the budget of a step."""
        return 0 if self.is_called else MAX_TRANSITIONS_A_STEP + self.batches_a_step


NARROW = Scenario(steps=3, width=20, batch_size=10)
MIDDLE = Scenario(steps=1, width=200, batch_size=100)
WIDE = Scenario(steps=1, width=1000, batch_size=100)
#: One batch more than an inline Map takes: a distributed one, with a manifest in S3.
DISTRIBUTED = Scenario(steps=1, width=410, batch_size=10)
SCENARIOS = (NARROW, MIDDLE, WIDE, DISTRIBUTED)


@dataclass(frozen=True, slots=True)
class Count:
    """What one request used."""

    scenario: Scenario
    usage: Usage
    calls: list[Call]
    transitions: Counter[str]

    def per_job(self, value: float) -> float:
        """Return the share of one job."""
        return value / self.usage.jobs


def measure(deployment: Deployment) -> tuple[list[Section], dict[str, Any]]:
    """Count every scenario; return the figures, and all that was counted."""
    check_accounting(aws("dynamodb"))
    deployment.add_empty_jobs()
    meter = Meter(deployment.endpoint)
    with meter.running():
        for function in deployment.functions:
            deployment.set_environment(function, meter.environment(function))
        idle_before = _sweep(deployment, meter)
        # Warm up. Wider requests start more environments, whose first reads are counted.
        _count(deployment, meter, NARROW)
        counts = [_count(deployment, meter, scenario) for scenario in SCENARIOS]
        idle_after = _sweep_after_more(deployment, meter)
    prices = read_prices()
    costs = {c.scenario: cost_of_a_million(c.usage) for c in counts}
    sections = [Section(c.scenario.name, _figures(c)) for c in counts]
    sections.append(Section("Cost of a million tracked jobs", _cost_figures(costs, prices)))
    sections.append(Section("An idle platform", [_idle_figure(idle_before, idle_after)]))
    return sections, {c.scenario.name: _details(c, costs[c.scenario]) for c in counts}


def _count(deployment: Deployment, meter: Meter, scenario: Scenario) -> Count:
    """Run a request of the scenario to its end, and count."""
    request_type = deployment.add_request_type(scenario.steps, scenario.batch_size)
    meter.take()
    started = time.time()
    request = deployment.api.submit(request_type, {"items": list(range(scenario.width))})
    execution = deployment.execution_of(request["request_id"])
    wait_for(execution)
    calls = [call for call in meter.take() if call.function not in _BESIDE]
    transitions = _transitions(execution)
    by_name = Counter((call.service, call.operation) for call in calls)
    usage = Usage(
        jobs=scenario.jobs,
        state_transitions=transitions.total(),
        express_requests=transitions["(child)"] * (transitions["RunManyBatches"] > 0),
        dynamodb_write_units=sum(c.write_units + c.index_units for c in calls),
        dynamodb_read_units=sum(c.read_units for c in calls),
        sqs_requests=sum(c.service == "sqs" for c in calls),
        http_api_requests=1,
        s3_puts=by_name["s3", "PutObject"],
        waits=scenario.steps if scenario.is_called else 0,
        # A distributed Map reads its manifest by itself.
        s3_gets=by_name["s3", "GetObject"] + (transitions["(child)"] > 0),
    )
    for function, name in deployment.functions.items():
        if function not in _BESIDE:
            messages = list(logged(name, started))
            usage.log_bytes += sum(len(message.encode()) for message in messages)
            usage.functions[function] = Invocations(
                times=sum(message.startswith("REPORT ") for message in messages),
                calls=sum(call.function == function for call in calls),
                memory_mb=deployment.configuration(function)["MemorySize"],
            )
    return Count(scenario, usage, calls, transitions)


def logged(function: str, started: float) -> Iterator[str]:
    """Yield what a function has logged since a time."""
    pages = aws("logs").get_paginator("filter_log_events")
    group = f"/aws/lambda/{function}"
    for page in pages.paginate(logGroupName=group, startTime=int(started * 1000)):
        yield from (event["message"] for event in page["events"])


# -- Step Functions ------------------------------------------------------------------------------


def _transitions(execution: str) -> Counter[str]:
    """Count the states that were entered, by name.

    The emulator's history does not show states inside a Map, but it shows the tasks that they
    scheduled, with retries: `(in a map)`. A distributed Map pays one more to start each child (Step
    Functions Developer Guide, "Transitions"): `(child)`. The states of Standard children are
    transitions too, those of Express children (of RunManyBatches) are not.
    """
    history = list(_history(execution))
    entered = [event for event in history if event["type"].endswith("StateEntered")]
    states = Counter(event["stateEnteredEventDetails"]["name"] for event in entered)
    children = list(_children(execution))
    is_express = states["RunManyBatches"] > 0
    histories = [history, *([] if is_express else map(_history, children))]
    tasks = sum(event["type"] == "TaskScheduled" for events in histories for event in events)
    states["(in a map)"] = tasks - sum(event["type"] == "TaskStateEntered" for event in entered)
    states["(child)"] = len(children)
    return states


def _history(execution: str) -> Iterator[dict[str, Any]]:
    pages = aws("stepfunctions").get_paginator("get_execution_history")
    for page in pages.paginate(executionArn=execution, includeExecutionData=False):
        yield from page["events"]


def _children(execution: str) -> Iterator[str]:
    client = aws("stepfunctions")
    for run in client.list_map_runs(executionArn=execution)["mapRuns"]:
        pages = client.get_paginator("list_executions")
        for page in pages.paginate(mapRunArn=run["mapRunArn"]):
            yield from (child["executionArn"] for child in page["executions"])


# -- an idle platform ----------------------------------------------------------------------------


def _sweep(deployment: Deployment, meter: Meter) -> Counter[str]:
    """Run each sweep once; return how often each operation was called, and the units used."""
    meter.take()
    for name in ("new-requests", "inprogress-requests", "jobs"):
        deployment.invoke(_IDLE, {"sweep": name})
    used: Counter[str] = Counter()
    for call in meter.take():
        if call.function == _IDLE:
            used[call.operation] += 1
            used["half units"] += int(2 * (call.read_units + call.write_units + call.index_units))
    return used


def _sweep_after_more(deployment: Deployment, meter: Meter) -> Counter[str]:
    """Sweep again, once the requests have completed and others wait to start tomorrow."""
    request_type = deployment.add_request_type(NARROW.steps, NARROW.batch_size)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for _ in range(_NOT_DUE):
        deployment.api.submit(request_type, {"items": [1]}, start_at=tomorrow)
    return _sweep(deployment, meter)


def _idle_figure(before: Counter[str], after: Counter[str]) -> Figure:
    return Figure(
        "units that one round of the three sweeps reads and writes",
        f"{after['half units'] / 2:g}",
        f"{before['half units'] / 2:g}",
        after == before,
        f"{after['Query']} queries; the same as on an empty platform, though the requests above "
        f"have ended and {_NOT_DUE} start tomorrow",
    )


# -- the tables ----------------------------------------------------------------------------------


def _figures(count: Count) -> list[Figure]:
    usage, scenario = count.usage, count.scenario
    allowed = f"at most 4 and one for each of {scenario.batches_a_step} batches"
    engine = [c for c in count.calls if c.function in ("RunJobsFunction", "AdvanceRequestFunction")]
    path = [c for c in engine if "JobsTable" in c.table]
    transactions = sum(c.operation == "TransactWriteItems" for c in engine)
    index_units = sum(c.index_units for c in path)
    calls = Counter((c.service, c.operation) for c in count.calls)
    return [
        at_most(
            "state transitions per step",
            (usage.state_transitions - _LAST_ROUND) / scenario.steps,
            scenario.max_transitions_a_step,
            "{:g}",
            f"{'its batches are called' if scenario.is_called else allowed}; "
            f"{_LAST_ROUND} more end the request",
        ),
        at_most(
            "write units per job",
            count.per_job(usage.dynamodb_write_units),
            MAX_WRITE_UNITS,
            "{:.2f}",
            f"{count.per_job(sum(c.write_units for c in path)):.2f} in the jobs table, the rest "
            "for its request and step",
        ),
        Figure(
            "transactions; index units in the jobs table",
            f"{transactions}; {index_units:g}",
            "0; 0",
            transactions == 0 and index_units == 0,
        ),
        Figure("read units per job", f"{count.per_job(usage.dynamodb_read_units):.2f}"),
        Figure(
            "Lambda invocations",
            f"{usage.lambda_requests}",
            note=_named({name: f.times for name, f in usage.functions.items()}),
        ),
        Figure(
            "calls of S3, SQS, StartExecution, SendTaskSuccess",
            f"{usage.s3_puts + usage.s3_gets}, {usage.sqs_requests}, "
            f"{calls['stepfunctions', 'StartExecution']}, "
            f"{calls['stepfunctions', 'SendTaskSuccess']}",
        ),
    ]


def _named(invocations: dict[str, int]) -> str:
    return ", ".join(
        f"{function.removesuffix('Function')} {times}"
        for function, times in invocations.items()
        if times
    )


def _cost_figures(costs: dict[Scenario, dict[str, float]], prices: dict[str, Any]) -> list[Figure]:
    figures = []
    for scenario, cost in costs.items():
        parts = sorted(cost.items(), key=lambda item: -item[1])
        note = ", ".join(
            f"{name.replace('_', ' ')} {usd:.2f}" for name, usd in parts if usd > 0.005
        )
        figures.append(at_most(scenario.name, sum(cost.values()), BUDGET_USD, "${:.2f}", note))
    width = width_within(
        BUDGET_USD,
        (MIDDLE.width, sum(costs[MIDDLE].values())),
        (WIDE.width, sum(costs[WIDE].values())),
    )
    naive = prices["naive_machine_usd_per_million_jobs"]
    return [
        *figures,
        Figure("the budget is held from this width on", f"{width:,.0f} jobs", note="100 a batch"),
        Figure("a naive machine", f"${naive:.2f}", note=prices["naive_machine"] + " Not measured."),
    ]


def _details(count: Count, cost: dict[str, float]) -> dict[str, Any]:
    return {
        "jobs": count.usage.jobs,
        "transitions": dict(count.transitions),
        "invocations": {name: f.times for name, f in count.usage.functions.items()},
        "log_bytes": count.usage.log_bytes,
        "calls": list(_summed(count.calls)),
        "usd_per_million_jobs": {name: round(usd, 4) for name, usd in cost.items()},
    }


def _summed(calls: Iterable[Call]) -> Iterator[dict[str, Any]]:
    """Yield one row for each function, operation, table and status."""
    rows: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    for call in calls:
        operation = f"{call.service}.{call.operation}"
        table = re.sub("^.*-([A-Za-z]+Table)-.*$", r"\1", call.table)
        row = rows.setdefault(
            (call.function, operation, table, call.status),
            {
                "function": call.function,
                "operation": operation,
                "table": table,
                "status": call.status,
                "times": 0,
                "write_units": 0.0,
                "index_units": 0.0,
                "read_units": 0.0,
            },
        )
        row["times"] += 1
        for name in ("write_units", "index_units", "read_units"):
            row[name] += getattr(call, name)
    yield from (rows[key] for key in sorted(rows))
