"""Measure how long after its deadline a lifecycle job is claimed and its driver is called."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.deployment import Deployment, aws
from benchmarks.report import Figure, Section
from benchmarks.workers import percentile
from shiftwork_core.adapters.dynamodb.lifecycle_jobs import lifecycle_job_from
from shiftwork_core.domain.workspaces.records import JobState, LifecycleJob

WORKSPACES = 30
#: The time between two deadlines; no whole seconds, as deadlines of real workspaces have none.
_APART = timedelta(seconds=2.3)
#: The time left for planning: with messages, and without them, when only ticks plan.
_AHEAD, _AHEAD_OF_TICKS = timedelta(seconds=90), timedelta(seconds=150)
_UNTIL = timedelta(hours=2)
_PATIENCE_S = 600.0
_LOOK_S = 2.0
#: The functions that send messages to SwitchWorkspaces.
_SENDERS = ("ApiFunction", "ScheduleWorkspacesFunction", "SwitchWorkspacesFunction")


@dataclass(frozen=True, slots=True)
class Delay:
    """When a job was claimed and its driver asked, in seconds after its deadline."""

    claimed_s: float
    asked_s: float


def measure(deployment: Deployment) -> tuple[list[Section], dict[str, Any]]:
    """Start instances when overrides begin, then stop them with every message lost."""
    bench = _Bench(deployment)
    load = os.getloadavg()[0]
    started = bench.switch("on", _AHEAD)
    bench.lose_messages()
    stopped = bench.switch("off", _AHEAD_OF_TICKS)
    after = os.getloadavg()[0]
    figures = [
        *_figures("with messages", started),
        *_figures("every message lost: only the ticks of each minute find the job", stopped),
    ]
    title = (
        f"From deadline to driver, {WORKSPACES} workspaces, load average {load:.1f} to "
        f"{after:.1f} on {os.cpu_count()} processors"
    )
    delays = {"with messages": started, "without": stopped}
    return [Section(title, figures)], {
        how: [[round(d.claimed_s, 3), round(d.asked_s, 3)] for d in found]
        for how, found in delays.items()
    }


def _figures(how: str, delays: list[Delay]) -> list[Figure]:
    return [
        Figure(
            f"until {what}: p50, p95, max",
            f"{percentile(values, 0.5):.1f} s, {percentile(values, 0.95):.1f} s, "
            f"{max(values):.1f} s",
            note=how,
        )
        for what, values in (
            ("the job is claimed", [delay.claimed_s for delay in delays]),
            ("the driver is asked", [delay.asked_s for delay in delays]),
        )
    ]


class _Bench:
    """Workspaces of one instance each, all stopped."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._api = deployment.api
        ec2 = aws("ec2")
        made = ec2.run_instances(ImageId="ami-12345678", MinCount=WORKSPACES, MaxCount=WORKSPACES)
        ids = [instance["InstanceId"] for instance in made["Instances"]]
        ec2.stop_instances(InstanceIds=ids)
        self._names = [f"bench-delay-{number:02}" for number in range(WORKSPACES)]
        for name, instance in zip(self._names, ids, strict=True):
            driver = {"type": "ec2", "instance_ids": [instance]}
            self._api.put_workspace(name, {"driver": driver})
        self._wait(lambda: self._are("stopped"))

    def switch(self, desired: Any, ahead: timedelta) -> list[Delay]:
        """Let an override of each begin, one after the other; return the delays of its job."""
        ended = {id for id, job in self._jobs().items() if job.has_ended}
        begin = datetime.now(UTC) + ahead
        for number, name in enumerate(self._names):
            since = begin + number * _APART
            self._api.override_workspace(name, desired, since + _UNTIL, since=since)
        goal = "running" if desired == "on" else "stopped"
        self._wait(lambda: self._are(goal))
        jobs = [job for id, job in self._jobs().items() if id not in ended]
        done = [job for job in jobs if job.state is JobState.COMPLETED]
        if len(done) != WORKSPACES or any(job.attempt != 1 for job in done):
            raise RuntimeError(f"{len(done)} jobs completed, of {WORKSPACES}")
        if any(job.deadline < begin - timedelta(milliseconds=1) for job in done):
            raise RuntimeError("a deadline was moved")
        late = [job.id for job in done if job.created_at > job.deadline]
        if late:
            raise RuntimeError(f"{len(late)} jobs were planned after their deadlines")
        return [_delay(job) for job in done]

    def lose_messages(self) -> None:
        """Send every message to a queue that nobody reads."""
        url = aws("sqs").create_queue(QueueName="bench-nowhere")["QueueUrl"]
        for function in _SENDERS:
            self._deployment.set_environment(function, {"SWITCH_QUEUE_URL": url})

    def _jobs(self) -> dict[str, LifecycleJob]:
        pages = (
            aws("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self._deployment.physical["WorkspaceLifecycleJobsTable"])
        )
        rows = (lifecycle_job_from(item) for page in pages for item in page["Items"])
        return {job.id: job for job in rows if job.workspace_id in self._names}

    def _are(self, state: str) -> bool:
        found = [row for row in self._api.workspaces() if row["workspace_id"] in self._names]
        return all(row["state"] == state for row in found)

    def _wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            if is_so():
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"it took more than {_PATIENCE_S:g} s")
            time.sleep(_LOOK_S)


def _delay(job: LifecycleJob) -> Delay:
    assert job.started_at is not None and job.asked_at is not None
    return Delay(
        (job.started_at - job.deadline).total_seconds(),
        (job.asked_at - job.deadline).total_seconds(),
    )
