"""Kill a process at each AWS call in turn, before the call is sent and after it was carried out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, product

from shiftwork_core import bootstrap
from tests.faults import workload
from tests.faults.deployed.client_faults import Kill, Plan
from tests.faults.stack import SWEEPS, FaultyLab
from tests.integration.lab import LostMachine, unique

#: Functions whose invocations are for one request, so that several can be killed side by side.
SIDE_BY_SIDE = ("AdvanceRequest", "RunJobs")
ONE_BY_ONE = ("RetryJobs", "Api", "Sweep")
#: Requests whose processes are killed at the same time.
_AT_ONCE = 8
#: Calls beyond those of a run without kills: runs differ, and a call never reached kills nobody.
_MORE = 2


@dataclass(slots=True)
class Killed:
    """What became of the requests of one function's kills."""

    function: str
    calls: int
    kills: int = 0
    seconds: list[float] = field(default_factory=list)
    verdict: workload.Verdict = field(default_factory=workload.Verdict)


def kill_at_every_call(lab: FaultyLab, function: str) -> Killed:
    """Count the calls that a function makes for a small request, then kill it at each."""
    if function in SIDE_BY_SIDE:
        return kill_side_by_side(lab, function)
    return _one_by_one(lab, function, {"Sweep": _sweep, "Api": _call}.get(function, _submit))


def calls_of_one(lab: FaultyLab) -> Counter[str]:
    """Return how many AWS calls each function makes for a small request, by its deployed name."""
    request_id = unique("counted")
    lab.follow(Plan())
    submit_small(lab, request_id)
    with lab.sweeping():
        assert not workload.wait_for(lab, [request_id])
    return Counter(c["function"] for c in lab.take_calls() if c["request_id"] == request_id)


def submit_small(lab: FaultyLab, request_id: str) -> None:
    """Submit one small request under this id, without the API's function."""
    lab.service_for(request_id).submit(workload.small(), None)


# -- by request ----------------------------------------------------------------------------------


def kill_side_by_side(
    lab: FaultyLab,
    function: str,
    *,
    at_once: int = _AT_ONCE,
    when: Sequence[bool] = (False, True),
    every: int = 1,
) -> Killed:
    """Kill the function at each call for a request of its own, before or after it, or both.

    With `every`, at every so many-th call only.
    """
    name = lab.function(function)
    killed = Killed(function, calls_of_one(lab)[name])
    kills = [
        Kill(name, call, is_after, unique(f"kill-{call}"))
        for call, is_after in product(range(1, killed.calls + _MORE + 1, every), when)
    ]
    for start in range(0, len(kills), at_once):
        plan = Plan(unique("kills"), kills=kills[start : start + at_once])
        lab.follow(plan)
        for kill in plan.kills:
            submit_small(lab, kill.request_id)
        _finish(lab, killed, plan, [kill.request_id for kill in plan.kills])
    return killed


def _finish(lab: FaultyLab, killed: Killed, plan: Plan, request_ids: list[str]) -> None:
    """Wait for the requests while sweeps run, then check them and add the findings."""
    started = time.monotonic()
    with lab.sweeping():
        left = workload.wait_for(lab, request_ids)
        killed.seconds.append(time.monotonic() - started)
        lab.follow(Plan())
        killed.verdict.add(workload.judge(lab, request_ids))
    killed.verdict.faults += [f"{request_id}: has not ended" for request_id in left]
    fates = [call["fate"] for call in lab.take_calls() if call["plan"] == plan.name]
    killed.kills += sum(fate.startswith("killed") for fate in fates)


# -- by turns ------------------------------------------------------------------------------------


def _one_by_one(lab: FaultyLab, function: str, act: Callable[[FaultyLab], list[str]]) -> Killed:
    """Kill the invocation that makes the n-th call, for n from 1 while there is one."""
    killed = Killed(function, 0)
    for call in count(1):
        before = killed.kills
        for is_after in (False, True):
            plan = Plan(unique("kill"), kills=[Kill(lab.function(function), call, is_after)])
            lab.follow(plan)
            _finish(lab, killed, plan, act(lab))
        if killed.kills == before:
            break
        killed.calls = call
    return killed


def _submit(lab: FaultyLab) -> list[str]:
    """Submit a small request, whose job asks for a retry."""
    request_id = unique("kill")
    submit_small(lab, request_id)
    return [request_id]


def _call(lab: FaultyLab) -> list[str]:
    """Submit it through the API, as a client does that retries."""
    return [lab.api.submit(workload.SMALL, workload.params(2, 1))["request_id"]]


def _sweep(lab: FaultyLab) -> list[str]:
    """Leave one request behind before its execution starts and one after, both due; sweep once."""
    request_ids = [unique("queuing"), unique("inprogress")]
    for request_id in request_ids:
        service = lab.service_for(request_id, LostMachine(), lease=timedelta(0))
        service.submit(workload.small(), None)
    now = bootstrap.world.now()
    lab.store.start(request_ids[1], now, due_at=now)
    lab.sweep_once(*SWEEPS)
    lab.follow(Plan())  # Do not count the later sweeps, which find nothing.
    return request_ids
