"""Count what a transition of a workspace uses of AWS, and price a month of transitions.

Workspaces of the deployed stack go on and off by a schedule of minutes, as they would every day: a
job, planned when the one before has ended, is woken, claimed, executed and completed. The meter
records the calls of the functions that do it; the API has no part in it.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from benchmarks.costs import (
    MILLION,
    Invocations,
    Usage,
    cost_of_a_million,
    read_prices,
)
from benchmarks.counts import logged
from benchmarks.deployment import Deployment, aws
from benchmarks.lab import Lab, open_lab
from benchmarks.meter import Call, Meter, check_accounting
from benchmarks.report import Figure, Section

PLANS, SWITCHES = "ScheduleWorkspacesFunction", "SwitchWorkspacesFunction"
FUNCTIONS = (PLANS, SWITCHES)
#: What each function logs in a tick only.
_TICKS = {PLANS: '"message":"scheduled"', SWITCHES: '"message":"switched"'}
#: A thousand workspaces, on and off once a day.
MONTHLY = 60_000
_TICKS_A_MONTH = 730 * 60
_WORKSPACES = 8
_SETTLE_S, _WARM_S = 3.0, 30.0
_DURATION = re.compile(r"^REPORT .*\tDuration: ([\d.]+) ms")
_TABLES = {
    "WorkspacesTable": "workspaces",
    "WorkspaceLifecycleJobsTable": "jobs",
    "WorkspaceLifecycleJobLogsTable": "logs",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """Workspaces that take `takes_s` to switch, every `every_min` minutes."""

    name: str
    takes_s: float
    every_min: int
    #: Nothing happens at this second of the minute in which a cycle ends.
    quiet_s: int
    cycles: int

    @property
    def schedule(self) -> dict[str, Any]:
        """Return a schedule that starts the workspace in even turns and stops it in odd ones."""
        cycle = 2 * self.every_min
        return {
            "windows": [
                {"start": f"*/{cycle} * * * *", "stop": f"{self.every_min}-59/{cycle} * * * *"}
            ]
        }


AT_ONCE = Scenario("a driver that switches at once", 0, 1, 45, 2)
SLOW = Scenario("a driver that takes a minute", 60, 3, 45, 1)


@dataclass
class Use:
    """What the two functions used in a period, with their ticks."""

    calls: list[Call]
    invocations: Counter[str] = field(default_factory=Counter)
    ticks: Counter[str] = field(default_factory=Counter)
    log_bytes: Counter[str] = field(default_factory=Counter)
    durations_ms: dict[str, list[float]] = field(default_factory=dict)

    def of(self, function: str) -> list[Call]:
        """Return the calls of one of them."""
        return [call for call in self.calls if call.function == function]


def measure(deployment: Deployment) -> tuple[list[Section], dict[str, Any]]:
    """Count idle ticks, then the transitions of each scenario; price a month of both."""
    check_accounting(aws("dynamodb"))
    load = os.getloadavg()[0]
    meter = Meter(deployment.endpoint)
    with meter.running(), open_lab() as lab:
        deployment.set_environment("ApiFunction", {"SERVICES": lab.services})
        for function in FUNCTIONS:
            variables = meter.environment(function) | {"SERVICES": lab.services}
            deployment.set_environment(function, variables)
        idle = _idle(deployment, meter)
        uses = {scenario: _switch(deployment, meter, lab, scenario) for scenario in (AT_ONCE, SLOW)}
    prices = read_prices()
    per_tick = {function: _per_tick(idle, function, deployment) for function in FUNCTIONS}
    sections, costs = [], {}
    details: dict[str, Any] = {}
    for scenario, (use, transitions) in uses.items():
        usage = _beyond_ticks(use, per_tick, transitions, deployment)
        costs[scenario] = _priced(usage, use, prices)
        figures = _figures(usage, use)
        title = f"A transition of a workspace with {scenario.name}, the mean of {transitions}"
        sections.append(Section(title, figures))
        details[scenario.name] = _details(use, usage, costs[scenario])
    note = f"load average before: {load:.1f} on {os.cpu_count()} processors"
    monthly = _idle_costs(idle, per_tick, prices)
    sections.append(Section(f"A month, {note}", _costs(costs, monthly, prices)))
    return sections, details | {"an idle month": monthly}


# -- using ---------------------------------------------------------------------------------------


def _idle(deployment: Deployment, meter: Meter) -> Use:
    """Let both functions tick a few times while nothing is due."""
    for function in FUNCTIONS:
        deployment.invoke(function, {})
    meter.take()
    started = time.time()
    for _ in range(5):
        for function in FUNCTIONS:
            deployment.invoke(function, {})
    return _used(deployment, meter, started)


def _switch(deployment: Deployment, meter: Meter, lab: Lab, scenario: Scenario) -> tuple[Use, int]:
    """Let workspaces go on and off; return what that used, and the number of transitions."""
    lab.takes_s = scenario.takes_s
    names = [f"bench-{scenario.takes_s:g}-{number}" for number in range(_WORKSPACES)]
    for name in names:
        body = {"driver": lab.driver(name), "schedule": scenario.schedule}
        deployment.api.put_workspace(name, body)
    # Before counting, let missed switches happen and all functions become warm.
    time.sleep(_WARM_S)
    _wait_for_quiet(scenario, cycles=1)
    before = _completed(deployment, names)
    meter.take()
    started = time.time()
    _wait_for_quiet(scenario, cycles=scenario.cycles)
    use = _used(deployment, meter, started)
    transitions = len(_completed(deployment, names) - before)
    expected = 2 * scenario.cycles * len(names)
    if transitions != expected:
        raise RuntimeError(
            f"{transitions} transitions instead of {expected}: is this machine overloaded?"
        )
    for name in names:
        deployment.api.delete_workspace(name)
    return use, transitions


def _wait_for_quiet(scenario: Scenario, cycles: int) -> None:
    """Return at the quiet second before a cycle begins, that many whole cycles later."""
    cycle_s = 2 * scenario.every_min * 60
    quiet_s = cycle_s - 60 + scenario.quiet_s
    until = (time.time() + 5 - quiet_s) // cycle_s * cycle_s + quiet_s + cycles * cycle_s
    while (left_s := until - time.time()) > 0:
        time.sleep(left_s)


def _completed(deployment: Deployment, names: list[str]) -> set[str]:
    jobs = deployment.api.lifecycle_jobs(state="completed")
    return {job["id"] for job in jobs if job["workspace_id"] in names}


def _used(deployment: Deployment, meter: Meter, started: float) -> Use:
    time.sleep(_SETTLE_S)  # Logs come late.
    use = Use(meter.take())
    for function in FUNCTIONS:
        for message in logged(deployment.functions[function], started):
            use.log_bytes[function] += len(message.encode())
            use.ticks[function] += _TICKS[function] in message
            if found := _DURATION.match(message):
                use.invocations[function] += 1
                use.durations_ms.setdefault(function, []).append(float(found.group(1)))
    return use


# -- counting ------------------------------------------------------------------------------------


def _per_tick(idle: Use, function: str, deployment: Deployment) -> Usage:
    """Return what one tick uses when nothing is due."""
    calls, ticks = idle.of(function), idle.ticks[function]
    return Usage(
        jobs=1,
        dynamodb_read_units=sum(call.read_units for call in calls) / ticks,
        dynamodb_write_units=sum(call.write_units + call.index_units for call in calls) / ticks,
        log_bytes=round(idle.log_bytes[function] / ticks),
        functions={function: _invocations(deployment, function, 1, round(len(calls) / ticks))},
    )


def _beyond_ticks(
    use: Use, per_tick: dict[str, Usage], transitions: int, deployment: Deployment
) -> Usage:
    """Return what the transitions used beyond what as many idle ticks would have."""
    usage = Usage(
        jobs=transitions,
        dynamodb_write_units=sum(call.write_units + call.index_units for call in use.calls),
        dynamodb_read_units=sum(call.read_units for call in use.calls),
        # Lambda receives and deletes each message by itself.
        sqs_requests=3 * sum(call.service == "sqs" for call in use.calls),
    )
    for function, tick in per_tick.items():
        ticks = use.ticks[function]
        usage.dynamodb_read_units -= ticks * tick.dynamodb_read_units
        usage.log_bytes += use.log_bytes[function] - ticks * tick.log_bytes
        calls = len(use.of(function)) - ticks * tick.functions[function].calls
        times = use.invocations[function] - ticks
        usage.functions[function] = _invocations(deployment, function, times, calls)
    return usage


def _invocations(deployment: Deployment, function: str, times: int, calls: int) -> Invocations:
    return Invocations(times, calls, deployment.configuration(function)["MemorySize"])


def _figures(usage: Usage, use: Use) -> list[Figure]:
    each = usage.jobs
    parts: defaultdict[str, float] = defaultdict(float)
    for call in use.calls:
        parts[_part(call)] += call.write_units
        parts["indexes"] += call.index_units
    most = sorted(((units, part) for part, units in parts.items() if units), reverse=True)
    note = ", ".join(f"{part} {units / each:.2f}" for units, part in most)
    reads = Counter(call.operation for call in use.calls if call.read_units)
    times = {name: f.times / each for name, f in usage.functions.items()}
    return [
        Figure("write units", f"{usage.dynamodb_write_units / each:.2f}", note=note),
        Figure(
            "read units",
            f"{usage.dynamodb_read_units / each:.2f}",
            note=f"beyond those of idle ticks; {reads['GetItem'] / each:.2f} rows by key",
        ),
        Figure(
            "Lambda invocations",
            f"{usage.lambda_requests / each:.2f}",
            note=", ".join(f"{n.removesuffix('Function')} {t:.2f}" for n, t in times.items()),
        ),
        Figure(
            "SQS calls",
            f"{usage.sqs_requests / each:.2f}",
            note="for each message a send, a receive and a delete",
        ),
        Figure("bytes logged", f"{usage.log_bytes / each:,.0f}"),
    ]


def _part(call: Call) -> str:
    names = {
        name
        for table, name in _TABLES.items()
        if any(f"-{table}-" in t or t.endswith(table) for t in call.table.split(","))
    }
    together = " and ".join(sorted(names)) or call.table
    return f"{together} in one transaction" if len(names) > 1 else together


# -- pricing -------------------------------------------------------------------------------------


def _priced(usage: Usage, use: Use, prices: dict[str, Any]) -> dict[str, float]:
    """Return what a month of transitions costs; invocations take as long as they took here."""
    costs = cost_of_a_million(usage)
    costs["lambda_time"] = MILLION / usage.jobs * _time_usd(usage, use, prices)
    return {name: cost * MONTHLY / MILLION for name, cost in costs.items() if cost}


def _time_usd(usage: Usage, use: Use, prices: dict[str, Any]) -> float:
    gb_s = 0.0
    for function, invocations in usage.functions.items():
        if invocations.times:
            took_ms = statistics.median(use.durations_ms[function])
            gb_s += invocations.times * took_ms / 1000 * invocations.memory_mb / 1024
    return float(gb_s * prices["usd_per_lambda_gb_s"])


def _idle_costs(idle: Use, per_tick: dict[str, Usage], prices: dict[str, Any]) -> dict[str, float]:
    """Return what a month without a switch costs."""
    costs: defaultdict[str, float] = defaultdict(float)
    for tick in per_tick.values():
        found = cost_of_a_million(tick)
        found["lambda_time"] = MILLION * _time_usd(tick, idle, prices)
        for name, usd in found.items():
            costs[name] += usd * _TICKS_A_MONTH / MILLION
    polling = prices["sqs_polling"]
    receives = polling["pollers"] * 730 * 3600 / polling["wait_s"]
    costs["polling_the_queue"] = receives * prices["usd_per_million"]["sqs_requests"] / MILLION
    schedules = len(per_tick) * _TICKS_A_MONTH
    costs["schedules"] = schedules * prices["usd_per_million_schedules"] / MILLION
    return {name: usd for name, usd in costs.items() if usd}


def _costs(
    costs: dict[Scenario, dict[str, float]], idle: dict[str, float], prices: dict[str, Any]
) -> list[Figure]:
    figures = [
        Figure(
            f"{MONTHLY:,} transitions, {scenario.name}", f"${sum(c.values()):.2f}", note=_split(c)
        )
        for scenario, c in costs.items()
    ]
    watching = prices["lifecycle_watching"]
    metrics = watching["metrics"] * prices["usd_per_metric_month"]
    alarms = watching["alarms"] * prices["usd_per_alarm_month"]
    naive = MONTHLY * prices["usd_per_million_schedules"] / MILLION
    return [
        *figures,
        Figure(
            "in addition, however few there are", f"${sum(idle.values()):.2f}", note=_split(idle)
        ),
        Figure(
            "metrics and alarms of the lifecycle",
            f"${metrics + alarms:.2f}",
            note=f"{watching['metrics']} metrics {metrics:.2f}, {watching['alarms']} alarms "
            f"{alarms:.2f}",
        ),
        Figure(
            "instead: two EventBridge schedules per workspace that start and stop instances",
            f"${naive:.2f}",
            note="not measured; nothing checks the result or tries again",
        ),
    ]


def _split(costs: dict[str, float]) -> str:
    parts = sorted(costs.items(), key=lambda item: -item[1])
    return ", ".join(f"{name.replace('_', ' ')} {usd:.3f}" for name, usd in parts if usd >= 0.0005)


def _details(use: Use, usage: Usage, costs: dict[str, float]) -> dict[str, Any]:
    rows: Counter[tuple[str, str, str, int]] = Counter()
    for call in use.calls:
        rows[call.function, f"{call.service}.{call.operation}", _part(call), call.status] += 1
    return {
        "transitions": usage.jobs,
        "ticks": dict(use.ticks),
        "invocations": dict(use.invocations),
        "median_duration_ms": {
            name: round(statistics.median(found), 1) for name, found in use.durations_ms.items()
        },
        "calls": [[*row, times] for row, times in sorted(rows.items())],
        "usd_a_month": {name: round(usd, 4) for name, usd in costs.items()},
    }
