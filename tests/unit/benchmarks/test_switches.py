"""What a transition of a workspace uses and costs."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from typing import Any

import pytest

from benchmarks import switches
from benchmarks.costs import Invocations, Usage, read_prices
from benchmarks.lab import open_lab
from benchmarks.meter import Call
from benchmarks.switches import PLANS, SWITCHES, Use

JOBS = "shiftwork-local-WorkspaceLifecycleJobsTable-1"
WORKSPACES = "shiftwork-local-WorkspacesTable-1"
LOGS = "shiftwork-local-WorkspaceLifecycleJobLogsTable-1"


class Deployed:
    """A deployment of functions of 512 MB."""

    def configuration(self, function: str) -> dict[str, int]:
        return {"MemorySize": 512}


def call(table: str = JOBS, function: str = SWITCHES, **units: Any) -> Call:
    return Call(function, "dynamodb", "PutItem", table, **units)


def used(calls: list[Call], times: int, ticks: int) -> Use:
    """Return what both functions used in so many invocations each."""
    both = (PLANS, SWITCHES)
    return Use(
        calls,
        Counter(dict.fromkeys(both, times)),
        Counter(dict.fromkeys(both, ticks)),
        Counter(dict.fromkeys(both, 100 * times)),
        {function: [20.0] for function in both},
    )


def test_the_use_of_idle_ticks_is_no_part_of_a_transition() -> None:
    looks = [call(function=PLANS, read_units=4), call(function=SWITCHES, read_units=8)]
    idle = used(looks, times=1, ticks=1)
    per_tick = {f: switches._per_tick(idle, f, Deployed()) for f in (PLANS, SWITCHES)}  # type: ignore[arg-type]
    message = Call(SWITCHES, "sqs", "SendMessage")
    busy = used([*looks, *looks, call(write_units=6, read_units=1), message], times=3, ticks=2)
    usage = switches._beyond_ticks(busy, per_tick, 2, Deployed())  # type: ignore[arg-type]
    assert (usage.jobs, usage.dynamodb_write_units, usage.dynamodb_read_units) == (2, 6, 1)
    # A send, and what Lambda calls by itself: a receive and a delete.
    assert usage.sqs_requests == 3
    assert usage.functions == {PLANS: Invocations(1, 0, 512), SWITCHES: Invocations(1, 2, 512)}
    assert usage.log_bytes == 200


def test_an_idle_queue_is_polled_all_the_time() -> None:
    prices = read_prices()
    tick = Usage(jobs=1, dynamodb_read_units=4, functions={PLANS: Invocations(1, 8, 512)})
    costs = switches._idle_costs(used([], 1, 1), {PLANS: tick}, prices)
    assert costs["polling_the_queue"] == pytest.approx(657_000 * 0.4e-6)
    assert costs["schedules"] == pytest.approx(43_800e-6)
    assert costs["dynamodb_read_units"] == pytest.approx(43_800 * 4 * 0.125e-6)
    assert costs["lambda_time"] == pytest.approx(43_800 * 0.020 * 0.5 * 1.33334e-5)


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (JOBS, "jobs"),
        (LOGS, "logs"),
        (WORKSPACES, "workspaces"),
        (f"{JOBS},{WORKSPACES}", "jobs and workspaces in one transaction"),
    ],
)
def test_a_write_is_named_after_its_tables(table: str, part: str) -> None:
    assert switches._part(call(table)) == part


def test_a_thing_of_the_lab_is_switching_for_as_long_as_it_takes() -> None:
    with open_lab() as lab:
        [declared] = json.loads(lab.services).values()
        url = declared["url"]

        def ask(path: str, data: bytes | None = None) -> str:
            with urllib.request.urlopen(f"{url}{path}", data) as answer:
                return str(json.load(answer)["state"])

        driver = lab.driver("box")
        assert ask(driver["state"]["path"]) == "stopped"
        lab.takes_s = 3600
        assert ask(driver["start"]["path"], b"") == "starting"
        lab.takes_s = 0
        assert ask(driver["start"]["path"], b"") == "running"
        assert ask(driver["stop"]["path"], b"") == ask(driver["state"]["path"]) == "stopped"
