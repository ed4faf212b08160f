"""`shiftwork demo-workspaces`: four workspaces start and stop, one of them after two failures.

Three are EC2 instances of the local stack. A service of the demo's own switches the fourth, and
refuses the first calls.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import NotFound, ShiftworkError
from shiftwork.api.shapes import JsonObject, LifecycleJob, Workspace
from shiftwork.cli.demos import documents
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render.output import Output, parse_time
from shiftwork.cli.render.tables import Column, Shape

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

OFFICE, LATE, HAND, LAB = "demo-office", "demo-late", "demo-hand", "demo-lab"
#: The service that switches the lab, as `Services` of the deployment names it.
SERVICE = "demo-lab"
#: How many calls it refuses before it obeys.
REFUSALS = 2
_POLL_S = 0.5
#: The window begins no sooner than this.
_AHEAD = timedelta(seconds=20)
_MAX_S = 420.0


# -- the lab's service ---------------------------------------------------------------------------


class LabServer(ThreadingHTTPServer):
    """Switches one thing on and off, after it has refused a few calls."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _LabHandler)
        self.state = "stopped"
        self.refusals = REFUSALS


class _LabHandler(BaseHTTPRequestHandler):
    server: LabServer

    def do_GET(self) -> None:
        """Answer with the lab's state."""
        self._answer(200, {"state": self.server.state})

    def do_POST(self) -> None:
        """Switch it, or refuse."""
        if self.server.refusals:
            self.server.refusals -= 1
            self._answer(503, {"error": "the lab's door is locked"})
            return
        self.server.state = "running" if self.path.endswith("/on") else "stopped"
        self._answer(200, {"state": self.server.state})

    def _answer(self, status: int, body: JsonObject) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the workspace's log has every call."""


@contextmanager
def lab_server(services: str | None) -> Iterator[LabServer]:
    """Serve the lab's service at the address that the deployment calls.

    Raises
    ------
    ShiftworkError
        If the deployment does not know the service, or its port is taken.
    """
    declared = json.loads(services or "{}").get(SERVICE)
    url = declared.get("url") if isinstance(declared, dict) else declared
    if not url:
        raise ShiftworkError(
            f"The stack knows no service {SERVICE!r}.", "Start the demo with: make demo-workspaces"
        )
    place = urlsplit(url)
    try:
        server = LabServer((place.hostname or "127.0.0.1", place.port or 80))
    except OSError as error:
        raise ShiftworkError(
            f"The demo's service cannot listen at {url}: {error.strerror}.",
            f"""Give it another: SHIFTWORK_SERVICES='{{"{SERVICE}": "http://127.0.0.1:4599"}}' """
            "make demo-workspaces",
        ) from None
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# -- what is defined -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Timetable:
    """When the office's window begins and ends, and when the override of another one ends."""

    begin: datetime
    end: datetime
    on_until: datetime

    @classmethod
    def after(cls, now: datetime) -> Timetable:
        """Return one that begins at the first full minute that is far enough ahead."""
        begin = (now + _AHEAD + timedelta(minutes=1)).replace(second=0, microsecond=0)
        return cls(begin, begin + timedelta(minutes=1), begin + timedelta(seconds=20))

    def definitions(self, instances: list[str]) -> dict[str, JsonObject]:
        """Return the definitions of the demo's workspaces, three of them over instances."""
        office, late, hand = ({"type": "ec2", "instance_ids": [instance]} for instance in instances)
        lab = {
            "type": "http",
            "service": SERVICE,
            "state": {"path": "/"},
            "start": {"path": "/on"},
            "stop": {"path": "/off"},
        }
        window = {"start": _cron(self.begin), "stop": _cron(self.end)}
        return {
            OFFICE: {"driver": office, "schedule": {"windows": [window]}},
            LATE: {"driver": late, "schedule": {"windows": [window]}},
            HAND: {"driver": hand, "schedule": {"manual_ttl_s": 60}},
            LAB: {
                "driver": lab,
                "schedule": {"manual_ttl_s": 60},
                "retry": {"backoff": "fixed", "delay_s": 4, "jitter": "none"},
            },
        }


def _cron(moment: datetime) -> str:
    return f"CRON_TZ=UTC {moment.minute} {moment.hour} * * *"


# -- the demo ------------------------------------------------------------------------------------


def run(client: ShiftworkClient, output: Output) -> None:
    """Make instances, define workspaces, switch some by hand, and show what happens.

    Raises
    ------
    typer.Exit
        If one of them did not go on and off again in time.
    """
    env = client.config.env
    with lab_server(env.get("SHIFTWORK_SERVICES")):
        session = documents.aws_session(env)
        ec2 = session.client("ec2", endpoint_url=env.get("AWS_ENDPOINT_URL"))
        table = Timetable.after(datetime.now(UTC))
        demo = Demo(client, output)
        demo.define(table.definitions(_stopped_instances(ec2, 3)))
        output.message(
            f"{OFFICE} and {LATE} have a window from {table.begin:%H:%M} to {table.end:%H:%M} UTC."
        )
        until = f"{table.on_until:%H:%M:%S}"
        output.message(f"An override keeps {LATE} on from now until {until}.")
        client.override_workspace(LATE, "on", until=table.on_until, reason="somebody works late")
        output.message(f"{HAND} and {LAB} are started by hand, for a minute.")
        for name in (HAND, LAB):
            client.start_workspace(name)
        is_done = demo.watch(_MAX_S)
        # Its service ends with the demo.
        client.delete_workspace(LAB)
    demo.show()
    if not is_done:
        output.message(f"Find out why with: shiftwork workspace explain {demo.unfinished()[0]}")
        raise typer.Exit(Exit.FAILED)


def _stopped_instances(ec2: EC2Client, count: int) -> list[str]:
    made = ec2.run_instances(ImageId="ami-0shiftwork", MinCount=count, MaxCount=count)
    ids = [instance["InstanceId"] for instance in made["Instances"]]
    ec2.stop_instances(InstanceIds=ids)
    return ids


@dataclass
class Demo:
    """Watches workspaces and the logs of their jobs, and writes what is new."""

    client: ShiftworkClient
    output: Output
    started: float = field(default_factory=time.monotonic)
    names: list[str] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    passed_states: dict[str, list[str]] = field(default_factory=dict)
    logs: dict[str, int] = field(default_factory=dict)
    #: Jobs of earlier demos, which are not shown.
    former: set[str] = field(default_factory=set)

    def define(self, bodies: dict[str, JsonObject]) -> None:
        """Create or replace the workspaces."""
        for name, body in bodies.items():
            with suppress(NotFound):
                self.client.delete_workspace(name)
            self.former |= {job["id"] for job in self.client.lifecycle_jobs(workspace=name)}
            self.client.put_workspace(name, body)
            self.names.append(name)
            self.passed_states[name] = []

    def watch(self, max_s: float) -> bool:
        """Show what happens until each has started and stopped; return whether all did in time."""
        while self.unfinished():
            if time.monotonic() - self.started > max_s:
                return False
            for name in self.names:
                self._poll(name)
            time.sleep(_POLL_S)
        return True

    def unfinished(self) -> list[str]:
        """Return the workspaces that have not started and stopped yet."""
        end = ["running", "stopped"]
        return [name for name, states in self.passed_states.items() if states[-2:] != end]

    def _poll(self, name: str) -> None:
        workspace = self.client.workspace(name)
        for job in self._jobs(name):
            self._write_log(job)
        state = workspace["state"]
        if state != self.states.get(name):
            self.states[name] = state
            self.passed_states[name].append(state)
            self._write(f"{name} is {state}{_next(workspace)}")

    def _jobs(self, name: str) -> list[LifecycleJob]:
        found = self.client.lifecycle_jobs(workspace=name)
        return [job for job in reversed(list(found)) if job["id"] not in self.former]

    def _write_log(self, job: LifecycleJob) -> None:
        if job["state"] == "pending" and job["attempt"] == 0:
            return
        lines = list(self.client.lifecycle_job_logs(job["id"]))
        for line in lines[self.logs.get(job["id"], 0) :]:
            mark = "" if line["level"] == "info" else f"{line['level'].upper()} "
            self._write(f"    {job['workspace_id']} {job['operation']}: {mark}{line['output']}")
        self.logs[job["id"]] = len(lines)

    def _write(self, text: str) -> None:
        passed_s = time.monotonic() - self.started
        self.output.progress_line(text, f"{passed_s:6.1f} s  ")

    def show(self) -> None:
        """Show the jobs that ended, and how late each began."""
        jobs = [job for name in self.names for job in self._jobs(name) if job["completed_at"]]
        if self.output.is_json:
            self.output.json({"lifecycle_jobs": jobs})
            return
        self.output.line()
        columns = (
            Column("WORKSPACE"),
            Column("DID", 9),
            Column("TRIES", 6),
            Column("LATE BY", 8),
            Column("BECAUSE", 7, Shape.CUT),
        )
        self.output.table(columns, [_row(job) for job in jobs], "shiftwork lifecycle-jobs")
        self.output.line()
        self.output.suggestions(
            [
                (f"shiftwork plan {OFFICE}", "what it will do this week"),
                (f"shiftwork override {OFFICE} off --until +2d", "not tomorrow"),
                (f"shiftwork workspace explain {OFFICE}", "why it is as it is"),
                (f"shiftwork workspace start {HAND} --follow", "another minute"),
                ("shiftwork down", "stop the stack"),
            ]
        )


def _next(workspace: Workspace) -> str:
    coming = [(job["at"], operation) for operation, job in workspace["pending"].items()]
    if not coming:
        return ""
    at, operation = min(coming)
    return f"; {operation} at {parse_time(at):%H:%M:%S} UTC"


def _row(job: LifecycleJob) -> tuple[object, ...]:
    late = ""
    if job["attempt"] == 1 and job["started_at"]:
        passed = parse_time(job["started_at"]) - parse_time(job["deadline"])
        late = f"{max(passed.total_seconds(), 0):.1f} s"
    did = f"{job['operation']} ({job['state']})"
    return job["workspace_id"], did, job["attempt"], late, job["reason"]
