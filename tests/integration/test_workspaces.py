"""Workspaces on the deployed stack: real schedules, queues, streams, and instances of EC2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from shiftwork.api.errors import Invalid
from shiftwork.api.shapes import LifecycleJob, Workspace
from tests.faults.deployed.client_faults import Kill, Plan
from tests.faults.stack import FaultyLab, faulty_lab
from tests.integration.lab import Lab, job, unique, until

#: Makes a stopped instance and returns its id.
MakeInstance = Callable[[], str]


@pytest.fixture
def instance(lab: Lab) -> Iterator[MakeInstance]:
    ec2, made = lab.client("ec2"), list[str]()

    def make() -> str:
        found = ec2.run_instances(ImageId="ami-0shiftwork", MinCount=1, MaxCount=1)
        made.append(str(found["Instances"][0]["InstanceId"]))
        ec2.stop_instances(InstanceIds=made[-1:])
        return made[-1]

    yield make
    ec2.terminate_instances(InstanceIds=made)


def is_running(lab: Lab, instance_id: str) -> bool:
    found = lab.client("ec2").describe_instances(InstanceIds=[instance_id])
    state: str = found["Reservations"][0]["Instances"][0]["State"]["Name"]
    return state == "running"


def define(lab: Lab, instance_id: str, **body: object) -> str:
    """Define a workspace over an instance; return its name once it was seen."""
    name = unique("box")
    driver = {"type": "ec2", "instance_ids": [instance_id]}
    lab.api.put_workspace(name, {"driver": driver, **body})
    reaches(lab, name, "stopped")
    return name


def reaches(lab: Lab, name: str, state: str) -> Workspace:
    """Return the workspace once it is in a state."""

    def look() -> Workspace | None:
        found = lab.api.workspace(name)
        return found if found["state"] == state else None

    return until(look, f"{name} is {state}")


def jobs(lab: Lab, name: str) -> list[LifecycleJob]:
    """Return a workspace's jobs, the oldest first."""
    return list(lab.api.lifecycle_jobs(workspace=name))[::-1]


def test_an_override_switches_an_instance_on_and_off_again(
    lab: Lab, instance: MakeInstance
) -> None:
    box = instance()
    name = define(lab, box)
    ends_at = datetime.now(UTC) + timedelta(seconds=15)
    lab.api.override_workspace(name, "on", until=ends_at, reason="a test")
    until(lambda: is_running(lab, box), "it is on")
    reaches_stopped = until(
        lambda: [j for j in jobs(lab, name) if j["operation"] == "stop" and j["completed_at"]],
        "it was stopped",
    )
    assert not is_running(lab, box)
    start, stop = jobs(lab, name)
    assert stop == reaches_stopped[0]
    assert (start["cause"], stop["cause"]) == ("override", "override")
    assert datetime.fromisoformat(stop["started_at"] or "") >= ends_at - timedelta(milliseconds=1)
    told = [line["output"] for line in lab.api.lifecycle_job_logs(start["id"])]
    assert told[:2] == ["attempt 1: start", f"start instances {box}"]


def test_a_window_is_met_by_the_clock(lab: Lab, instance: MakeInstance) -> None:
    box = instance()
    begins = (datetime.now(UTC) + timedelta(minutes=1, seconds=10)).replace(second=0, microsecond=0)
    window = {"start": f"CRON_TZ=UTC {begins.minute} {begins.hour} * * *", "ttl_s": 3600}
    name = define(lab, box, schedule={"windows": [window]})
    found = reaches(lab, name, "running")
    assert is_running(lab, box)
    [start] = [j for j in jobs(lab, name) if j["operation"] == "start"]
    assert datetime.fromisoformat(start["deadline"]) == begins
    assert datetime.fromisoformat(start["started_at"] or "") >= begins
    assert found["started_by"] == "schedule"
    stop = until(lambda: lab.api.workspace(name)["pending"].get("stop"), "its stop is planned")
    assert stop["cause"] in ("deadline", "schedule")


def test_a_dry_run_says_what_would_be_called_and_calls_nothing(
    lab: Lab, instance: MakeInstance
) -> None:
    box = instance()
    name = define(lab, box)
    assert lab.api.dry_run_workspace(name, "start")["calls"] == [f"start instances {box}"]
    assert lab.api.dry_run_workspace(name, "stop")["calls"] == []
    assert jobs(lab, name) == []
    assert not is_running(lab, box)


def test_requests_of_the_engine_switch_a_workspace(lab: Lab) -> None:
    boot, halt = lab.define([job("a", "note")]), lab.define([job("a", "note")])
    name = unique("lab")
    driver = {"type": "request", "start": {"type": boot}, "stop": {"type": halt}}
    lab.api.put_workspace(name, {"driver": driver})
    lab.api.start_workspace(name)
    reaches(lab, name, "running")
    lab.api.stop_workspace(name)
    reaches(lab, name, "stopped")
    submitted = [r["type"] for r in lab.api.list_all() if r["type"] in (boot, halt)]
    assert sorted(submitted) == sorted([boot, halt])


def test_a_service_that_refuses_is_asked_again(lab: Lab) -> None:
    script = lab.script({"status": 503}, {"status": 200, "json": {}})
    seen = lab.script({"status": 200, "json": {"state": "stopped"}})
    name = unique("lab")
    lab.api.put_workspace(
        name,
        {
            "driver": {
                "type": "http",
                "service": "tests",
                "state": {"path": f"/{seen}"},
                "start": {"path": f"/{script}"},
                "stop": {"path": f"/{script}"},
            },
            "retry": {"backoff": "fixed", "delay_s": 0, "jitter": "none"},
        },
    )
    started = lab.api.start_workspace(name)
    until(lambda: len(lab.calls(script)) == 2, "it was asked twice")
    keys = {call["headers"]["Idempotency-Key"] for call in lab.calls(script)}
    assert len(keys) == 1
    lab.api.cancel_lifecycle_job(started["id"])


def test_work_that_waits_starts_the_workspace_that_hosts_its_workers(
    lab: Lab, instance: MakeInstance
) -> None:
    box = instance()
    name = define(lab, box, hosts={"job_types": ["probe.polled"]})
    request_id = lab.submit([job("a", "polled")])
    lab.execution_waits(request_id)

    def look() -> Workspace | None:
        lab.invoke("ScheduleWorkspaces", {})
        found = lab.api.workspace(name)
        return found if found["state"] == "running" else None

    assert until(look, "the work has started it")["started_by"] == "work"
    lab.api.cancel(request_id)


def test_what_cannot_be_is_refused_and_nothing_is_written(lab: Lab) -> None:
    name = unique("box")
    driver = {"type": "ec2", "instance_ids": ["i-1"]}
    for schedule, fault in (
        ({"windows": [{"start": "CRON_TZ=Europe/Berln 0 8 * * *"}]}, "Europe/Berlin"),
        ({"windows": [{"start": "0 0 8 * * *"}]}, "five"),
        ({"windows": [{"start": "0 8 1 * *"}]}, "day"),
        ({"ttl_s": 31 * 86400}, "2592000"),
    ):
        with pytest.raises(Invalid) as refused:
            lab.api.put_workspace(name, {"driver": driver, "schedule": schedule})
        assert fault in " ".join(str(f) for f in refused.value.faults)
    assert lab.rows_with(name) == 0
    assert name not in [w["workspace_id"] for w in lab.api.workspaces()]


#: Where the switcher's process dies: between its claim and the driver's call, and between that and
#: the write of the outcome.
DEATHS = {
    "before the driver's call": ("ec2.StartInstances", 1, False),
    "after the driver's call": ("ec2.StartInstances", 1, True),
    "after the outcome": ("dynamodb.TransactWriteItems", 1, True),
}


def test_a_switcher_killed_around_the_drivers_call_loses_no_transition(
    lab: Lab, instance: MakeInstance
) -> None:
    with faulty_lab(lab) as faulty:
        for where, (operation, call, is_after) in DEATHS.items():
            kill = Kill(faulty.function("SwitchWorkspaces"), call, is_after, operation=operation)
            start_and_kill(faulty, instance(), kill, where)


def start_and_kill(faulty: FaultyLab, box: str, kill: Kill, where: str) -> None:
    """Start a workspace, kill who does it, and see that all comes right."""
    name = define(faulty, box)
    faulty.follow(Plan(unique("kill"), kills=[kill]))
    faulty.api.start_workspace(name)
    until(lambda: killed(faulty), f"the process was killed {where}")
    faulty.follow(Plan())
    until(lambda: is_settled(faulty, name), f"{name} is started, killed {where}")
    assert is_running(faulty, box), where
    [start] = jobs(faulty, name)
    assert start["state"] == "completed" and start["attempt"] <= 2, where
    assert faulty.api.workspace(name)["pending"] == {}, where


def killed(faulty: FaultyLab) -> bool:
    return any(str(call["fate"]).startswith("killed") for call in faulty.take_calls())


def is_settled(faulty: FaultyLab, name: str) -> bool:
    """Tick as the schedule does, and say whether the workspace runs and its job has ended."""
    faulty.invoke("SwitchWorkspaces", {})
    return faulty.api.workspace(name)["state"] == "running" and all(
        j["completed_at"] for j in jobs(faulty, name)
    )
