"""Time a request of empty jobs against a bare Map of as many no-op calls."""

from __future__ import annotations

import os
import statistics
import time
from datetime import datetime

from benchmarks.deployment import Deployment, aws, wait_for
from benchmarks.report import Figure, Section, at_most

STEPS, WIDTH, BATCH_SIZE = 3, 20, 10
WARM_UPS, ROUNDS = 3, 11
BUDGET = 2.0  # the aim is 1.5


def measure(deployment: Deployment) -> Section:
    """Run both in turn. A request takes from its submission to its `completed_at`."""
    deployment.add_empty_jobs()
    request_type = deployment.add_request_type(STEPS, BATCH_SIZE)
    machine = deployment.add_bare_machine(STEPS, WIDTH)
    items = list(range(WIDTH))
    load = os.getloadavg()[0]
    requests: list[float] = []
    maps: list[float] = []
    for _ in range(WARM_UPS + ROUNDS):
        requests.append(_time_request(deployment, request_type, items))
        maps.append(_time_map(machine, items))
    request_s = statistics.median(requests[WARM_UPS:])
    map_s = statistics.median(maps[WARM_UPS:])
    what = f"{STEPS} steps of {WIDTH} empty jobs"
    ratio = request_s / map_s
    # The no-op calls mostly wait, so other programs slow down only the request.
    waits = f"load average before: {load:.1f} on {os.cpu_count()} processors"
    aim = "the aim of 1.5 x is held too" if ratio <= 1.5 else "the aim of 1.5 x is missed"
    figures = [
        at_most(f"{what}, against a bare Map", ratio, BUDGET, "{:.2f} x", aim),
        Figure("the request, submission to Completed", f"{request_s * 1000:.0f} ms", note=waits),
        Figure("three Maps in sequence of the no-op calls", f"{map_s * 1000:.0f} ms"),
    ]
    return Section(f"Time, the median of {ROUNDS} alternating runs on one stack", figures)


def _time_request(deployment: Deployment, request_type: str, items: list[int]) -> float:
    start = time.time()
    request = deployment.api.submit(request_type, {"items": items})
    wait_for(deployment.execution_of(request["request_id"]))
    completed_at = deployment.api.get(request["request_id"])["completed_at"]
    if completed_at is None:
        raise RuntimeError("the execution has ended, its request has not")
    return datetime.fromisoformat(completed_at).timestamp() - start


def _time_map(machine: str, items: list[int]) -> float:
    start = time.time()
    input_text = '{"items": ' + str(items) + "}"
    started = aws("stepfunctions").start_execution(stateMachineArn=machine, input=input_text)
    stopped: datetime = wait_for(started["executionArn"])["stopDate"]
    return stopped.timestamp() - start
