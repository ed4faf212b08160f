"""Draw from a seed what is submitted, mostly small, and how its jobs tend to behave.

How an attempt behaves depends on the seed and on which attempt of which job it is, not on when it
runs, so the same seed with fewer faults still has the same jobs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import zip_longest
from random import Random

from shiftwork_core.domain.payloads import JsonObject

#: Sizes of steps; mostly small, since small cases show most faults and cost least.
_WIDTHS = [0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 7, 12, 30]
NO_STEP: JsonObject = {"jobs": []}
_STEPS = [1, 1, 1, 2, 2, 2, 3, 3, 4, 5]
_REQUESTS = [1, 1, 1, 2, 2, 3]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that shrinking sets: they cut a seed's workload and leave the rest as it was."""

    requests: int = 99
    steps: int = 99
    jobs: int = 99
    workspaces: int = 99


@dataclass(frozen=True, slots=True)
class Mood:
    """How the jobs of a request type tend to end, as probabilities."""

    retry: float
    error: float
    failure: float
    overlong: float
    slow: float
    large: float


@dataclass(slots=True)
class Plan:
    """One submission, and what its user does afterwards."""

    label: str
    type: str
    params: JsonObject
    extras: JsonObject
    at: float
    start_in_s: float | None
    key: str | None
    #: How many callers submit it at once.
    callers: int
    is_cancelled: bool
    #: How often its user retries it once it has failed.
    retries: int
    priority: int = 0


@dataclass(slots=True)
class Workload:
    """Job types and request types by name, and submissions."""

    seed: str
    job_types: dict[str, JsonObject] = field(default_factory=dict)
    request_types: dict[str, JsonObject] = field(default_factory=dict)
    moods: dict[str, Mood] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    #: The numbers of shards that the polled type is given later, one after the other.
    reshards: list[int] = field(default_factory=list)

    @property
    def has_shards(self) -> bool:
        """Whether the queue of the polled type ever has several shards."""
        polled = self.job_types.get("polled", {}).get("worker", {})
        return bool(self.reshards) or polled.get("shards", 1) > 1


def draw_workload(seed: str, random: Random, limits: Limits) -> Workload:
    """Draw everything that is submitted."""
    workload = Workload(seed)
    for number in range(random.randint(1, 3)):
        workload.job_types[f"j{number}"] = _job_type(random)
    if random.random() < 0.35:
        workload.job_types["polled"] = _polled_type(random)
        # Drawn apart: the rest stays as it was.
        shards = Random(f"{seed} shards").choice([[1], [1], [1], [8], [1, 8], [8, 1], [3, 16, 2]])
        workload.job_types["polled"]["worker"]["shards"], *workload.reshards = shards
    horizon_s = random.choice([0.0, 5.0, 60.0])
    for number in range(random.choice(_REQUESTS)):
        name = f"type{number}"
        steps = _steps(random, list(workload.job_types), limits)
        mood = _mood(random)
        plan = _plan(random, f"q{number}", name, horizon_s, limits)
        if number < limits.requests:
            workload.request_types[name] = {
                "steps": _with_collect(
                    seed,
                    name,
                    [_with_blocks(seed, name, _with_end(seed, name, s)) for s in steps],
                )
            }
            workload.moods[plan.label] = mood
            workload.plans.append(plan)
    return workload


def _policy(random: Random) -> JsonObject:
    return {
        "max_attempts": random.choice([1, 2, 3, 3, 4]),
        "backoff": random.choice(["fixed", "linear", "exponential"]),
        "delay_s": random.choice([0, 1, 2, 10, 10, 40, 1000]),
        "max_delay_s": random.choice([5, 60, 60, 3600]),
        "jitter": random.choice(["full", "none"]),
    }


def _job_type(random: Random) -> JsonObject:
    return {
        "target": "python",
        "retry": _policy(random),
        "timeout_s": random.choice([5, 30, 60, 300]),
        "batch_size": random.choice([1, 2, 3, 10, 10]),
    }


def _polled_type(random: Random) -> JsonObject:
    return {
        "target": "worker",
        "retry": _policy(random),
        "timeout_s": random.choice([0, 0, 100, 400]),
        "worker": {
            "response_timeout_s": random.choice([5, 15, 60, 100]),
            "poll_timeout_s": random.choice([0, 0, 0, 200]),
            "timeout_policy": random.choice(["RETRY", "RETRY", "TIME_OUT_WF", "ALERT_ONLY"]),
            "concurrency_limit": random.choice([0, 0, 1, 2, 3]),
            "rate_limit": random.choice([{"count": 0}, {"count": 0}, {"count": 3, "per_s": 10}]),
        },
    }


def _steps(random: Random, types: list[str], limits: Limits) -> list[JsonObject]:
    steps = []
    for index in range(1, random.choice(_STEPS) + 1):
        left = random.choice(_WIDTHS)
        jobs: list[JsonObject] = []
        while left or not jobs:
            count = min(left, random.choice([1, 1, 2, 30]))
            left -= count
            count = min(count, limits.jobs)
            kind = random.random()
            entry: JsonObject = {"name": f"e{len(jobs)}", "type": random.choice(types)}
            if count != 1 or kind < 0.2:
                # A list in the params, or one that the step before returned.
                is_returned = kind < 0.1 and index > 1
                entry["for_each"] = (
                    f"extras.s{index - 1}" if is_returned else f"params.lists[{count}]"
                )
            if kind > 0.7:
                entry["params"] = {"label": "{params.label}", "own": "{item}", "text": "a {item}b"}
                if "for_each" not in entry:
                    entry["params"]["text"] = "ab"
            jobs.append(entry)
        steps.append({"name": f"s{index}", "jobs": jobs})
    return steps[: limits.steps]


def _with_end(seed: str, type: str, step: JsonObject) -> JsonObject:
    """Return the step with what a failure in it means, drawn apart: the rest stays as it was."""
    ends = [{}, {"on_failure": "stop"}, {"on_failure": "finish"}]
    return step | Random(f"{seed} {type} {step['name']} fails").choice(ends)


def _with_blocks(seed: str, type: str, step: JsonObject) -> JsonObject:
    """Return the step with some entries in blocks, or tolerant: drawn apart, as before else."""
    jobs = []
    for entry in step["jobs"]:
        random = Random(f"{seed} {type} {step['name']} {entry['name']} block")
        goes_in_blocks = "for_each" in entry and entry["type"] != "polled"
        if goes_in_blocks and random.random() < 0.3:
            entry = entry | {"block": random.choice([1, 2, 3, 5, 10, 30])}
        if "for_each" in entry and random.random() < (0.5 if "block" in entry else 0.1):
            entry = entry | {"tolerate": random.choice([0, 1, 2, 30, "10%", "50%", "100%"])}
        jobs.append(entry)
    return step | {"jobs": jobs}


def _with_collect(seed: str, type: str, steps: list[JsonObject]) -> list[JsonObject]:
    """Return the steps with results that go elsewhere than into the extras, drawn apart.

    Not those of a step from whose extras the next one takes a list.
    """
    drawn = []
    for step, then in zip_longest(steps, steps[1:], fillvalue=NO_STEP):
        lists = [str(entry.get("for_each")) for entry in then["jobs"]]
        if not any(of_it.startswith("extras.") for of_it in lists):
            random = Random(f"{seed} {type} {step['name']} collect")
            step = step | {"jobs": [_collecting(random, entry) for entry in step["jobs"]]}
        drawn.append(step)
    return drawn


def _collecting(random: Random, entry: JsonObject) -> JsonObject:
    ways = ["extras"] * 6 + ["none", "manifest" if "for_each" in entry else "none"]
    return entry | {"collect": random.choice(ways)}


def _mood(random: Random) -> Mood:
    def odds(often: float) -> float:
        return random.choice([0.0, 0.0, often / 5, often])

    return Mood(odds(0.5), odds(0.3), odds(0.15), odds(0.3), odds(0.7), odds(0.5))


def _plan(random: Random, label: str, type: str, horizon_s: float, limits: Limits) -> Plan:
    at = random.random() * horizon_s
    has_key = random.random() < 0.6
    callers = random.choice([1, 1, 2, 3])
    return Plan(
        label=label,
        type=type,
        params={"label": label, "lists": [list(range(n)) for n in range(31)]},
        extras=random.choice([{}, {"given": 1, "shared": 0}]),
        at=at,
        start_in_s=random.choice([None] * 8 + [20.0, 1000.0]),
        key=f"k-{label}" if has_key else None,
        callers=callers if has_key else 1,
        is_cancelled=random.random() < 0.4,
        retries=random.choice([0, 1, 2, 2]),
        priority=random.choice([0, 0, 7]),
    )


def start_at(plan: Plan, now: datetime) -> datetime | None:
    """Return when the plan's request is to start."""
    return None if plan.start_in_s is None else now + timedelta(seconds=plan.start_in_s)
