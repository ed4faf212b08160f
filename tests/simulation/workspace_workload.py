"""Draw the workspaces of a seed and what their owners do, with short windows, so that many pass.

A stub of the cron library reads only texts such as `3-59/10 * * * *`: at three minutes past the
hour, and every ten minutes from then on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from random import Random

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.times import from_iso
from shiftwork_core.domain.workspaces.crons import Cron
from shiftwork_core.domain.workspaces.schedules import Almanac, Schedule

#: The probability that a seed has workspaces. Such a seed takes two or three times as long.
PRESENCE = 0.15
ALL_WORKERS = ["worker0", "worker1", "worker2"]
#: Minutes; each divides an hour.
_PERIODS = [5, 6, 10, 10]
_TTLS_S = [60, 90, 150, 240]
_ACTS = [0, 1, 3, 6, 12]

_EACH = re.compile(r"(\d+)-59/(\d+) \* \* \* \*")
_HOUR = from_iso("2025-01-01T00:00:00.000Z")


@dataclass(slots=True)
class WorkspacePlan:
    """A workspace: the bodies that it is given, the first one first, and who acts on it."""

    name: str
    bodies: list[JsonObject]
    #: How many acts each owner does.
    acts: list[int]
    #: The workers that it hosts.
    workers: list[str] = field(default_factory=list)

    @property
    def is_needed(self) -> bool:
        """Whether requests end only if this workspace is on now and then."""
        return self.workers == ALL_WORKERS

    @property
    def max_attempts(self) -> int:
        """The most attempts that its jobs may have, whichever body they read."""
        return max(int(body["retry"]["max_attempts"]) for body in self.bodies)


def draw_workspaces(random: Random, *, has_polled: bool, most: int) -> list[WorkspacePlan]:
    """Draw the workspaces of a seed; mostly none."""
    if random.random() >= PRESENCE:
        return []
    plans = []
    for number in range(random.choice([1, 1, 1, 2, 3])):
        name = f"w{number}"
        workers = []
        if has_polled and number == 0 and random.random() < 0.7:
            workers = ALL_WORKERS[: random.choice([1, 2, 3])]
        hosts = _hosts(random, workers) if workers else None
        bodies = [_body(random, name, hosts) for _ in range(random.choice([1, 2, 3]))]
        if not workers and random.random() < 0.2:
            bodies[-1]["driver"]["id"] = f"{name}-other"
        acts = [random.choice(_ACTS) for _ in range(random.choice([1, 1, 2]))]
        plans.append(WorkspacePlan(name, bodies, acts, workers))
    return plans[:most]


def _body(random: Random, name: str, hosts: JsonObject | None) -> JsonObject:
    body: JsonObject = {
        "driver": {"type": "simulated", "id": name},
        "schedule": _schedule(random),
        "retry": {
            "max_attempts": random.choice([1, 2, 2, 4]),
            "delay_s": random.choice([1, 10]),
            "max_delay_s": 20,
        },
        "verify_timeout_s": random.choice([20, 45]),
    }
    if hosts is not None:
        body["hosts"] = hosts
    return body


def _hosts(random: Random, workers: list[str]) -> JsonObject:
    return {
        "job_types": ["polled"],
        "workers": workers,
        "idle_timeout_s": random.choice([None, 60, 120]),
        "drain_timeout_s": random.choice([0, 20, 60]),
    }


def _schedule(random: Random) -> JsonObject:
    windows = [_window(random) for _ in range(random.choice([0, 1, 1, 1, 2]))]
    schedule: JsonObject = {"windows": windows, "activity_bump_s": 60}
    if random.random() < 0.3:
        schedule["ttl_s"] = random.choice(_TTLS_S)
    if random.random() < 0.3:
        schedule["manual_ttl_s"] = random.choice(_TTLS_S)
    if random.random() < 0.15:
        schedule["max_lifetime_s"] = 300
    if random.random() < 0.2:
        schedule["spread_s"] = random.choice([5, 30])
    return schedule


def _window(random: Random) -> JsonObject:
    period = random.choice(_PERIODS)
    start = random.randrange(period)
    open_for = random.randrange(2, period - 1)
    window: JsonObject = {"start": f"{start}-59/{period} * * * *"}
    kind = random.random()
    if kind < 0.6:
        window["stop"] = f"{(start + open_for) % period}-59/{period} * * * *"
    elif kind < 0.8:
        window["ttl_s"] = min(open_for * 60, 240)
    elif kind < 0.9:
        window["stop"] = window.pop("start")
    return window


# -- occurrences -----------------------------------------------------------------------------------


@cache
def comes_up(text: str) -> tuple[timedelta, timedelta]:
    """Return how long after each full hour a cron text first comes up, and its period."""
    found = _EACH.fullmatch(text)
    assert found is not None, text
    return timedelta(minutes=int(found[1])), timedelta(minutes=int(found[2]))


def occurrences(cron: Cron, after: datetime) -> Iterator[datetime]:
    """Yield when a schedule comes up after a time (not included), in order."""
    first, period = comes_up(cron.fields)
    begun = (after - _HOUR - first) // period + 1
    return (_HOUR + first + number * period for number in count(begun))


def almanac_for(schedule: Schedule) -> Almanac:
    """Return the almanac with which a simulation computes schedules."""
    return Almanac(occurrences, schedule.holidays.get)
