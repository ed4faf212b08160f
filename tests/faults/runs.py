"""Run the same requests under each mix of faults, and compare them with runs without faults."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from tests.faults import workload
from tests.faults.deployed.client_faults import Fate, Plan
from tests.faults.stack import FaultyLab

NO_FAULTS = Plan("no faults")
AIM = Plan("throttled 30 %, replies lost 5 %", throttled=0.3, lost=0.05)
MIXES = (
    *(Plan(f"dropped {100 * share:.0f} %", dropped=share) for share in (0.01, 0.1, 0.3)),
    *(Plan(f"throttled {100 * share:.0f} %", throttled=share) for share in (0.01, 0.1, 0.3)),
    *(Plan(f"replies lost {100 * share:.0f} %", lost=share) for share in (0.01, 0.1, 0.3)),
    Plan("10 % of each", dropped=0.1, throttled=0.1, lost=0.1),
    Plan("5 % of invocations killed at random", killed=0.05),
    AIM,
)
#: Fates of calls that reach their service.
_REACHED = {Fate.SENT, Fate.LOST, Fate.KILLED_AFTER}


@dataclass(frozen=True, slots=True)
class Run:
    """What became of the requests under one plan.

    Attributes
    ----------
    fates
        What became of how many calls.
    rows
        Rows of tables that calls wrote, or tried to, and that reached the service.
    seconds
        From the first submission to the end of the last request.
    """

    plan: Plan
    verdict: workload.Verdict
    fates: Counter[str]
    rows: int
    seconds: float

    @property
    def jobs_a_second(self) -> float:
        return self.verdict.jobs / self.seconds


@dataclass(frozen=True, slots=True)
class Row:
    """One mix, over all its runs, each compared with the runs without faults around it."""

    name: str
    requests: int
    ended: int
    jobs: int
    doubled: int
    faults: list[str]
    fates: dict[str, int]
    goodputs: list[float]
    writes: float

    @property
    def goodput(self) -> float:
        return median(self.goodputs)


def run(lab: FaultyLab, plan: Plan, requests: int) -> Run:
    """Run requests under the plan, then check them without faults."""
    lab.take_calls()
    lab.follow(plan)
    started = time.monotonic()
    with lab.sweeping():
        request_ids = workload.submit(lab, requests)
        left = workload.wait_for(lab, request_ids)
        seconds = time.monotonic() - started
        lab.follow(Plan())
        verdict = workload.judge(lab, request_ids)
    verdict.faults += [f"{request_id}: has not ended" for request_id in left]
    calls = [call for call in lab.take_calls() if call["plan"] == plan.name]
    return Run(
        plan,
        verdict,
        Counter(call["fate"] for call in calls),
        sum(call.get("rows", 0) for call in calls if call["fate"] in _REACHED),
        seconds,
    )


def measure(
    lab: FaultyLab, mixes: Sequence[Plan], *, requests: int, times: Callable[[Plan], int]
) -> Iterator[Run | Row]:
    """Run every mix several times, between runs without faults; yield each run and each mix's row.

    The machine's speed varies, so a run is compared with the runs right before and right after it.
    """
    run(lab, replace(NO_FAULTS, name="warm up"), requests)
    before = run(lab, NO_FAULTS, requests)
    yield before
    for plan in mixes:
        goodputs, runs, writes = [], [], []
        for _ in range(times(plan)):
            measured = run(lab, plan, requests)
            yield measured
            after = run(lab, NO_FAULTS, requests)
            yield after
            runs.append(measured)
            plain = fmean([before.jobs_a_second, after.jobs_a_second])
            goodputs.append(measured.jobs_a_second / plain)
            writes.append(measured.rows / fmean([before.rows, after.rows]))
            before = after
        yield Row(
            name=plan.name,
            requests=sum(r.verdict.requests for r in runs),
            ended=sum(r.verdict.ended for r in runs),
            jobs=sum(r.verdict.jobs for r in runs),
            doubled=sum(r.verdict.doubled for r in runs),
            faults=[fault for r in runs for fault in r.verdict.faults],
            fates=dict(sum((r.fates for r in runs), Counter[str]())),
            goodputs=goodputs,
            writes=fmean(writes),
        )
