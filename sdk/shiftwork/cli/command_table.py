"""Every command: the function behind it, its panel in the help, and its line there.

The help of a group is drawn from this table, so that no command's module is imported for it; a test
compares each line with the docstring of its function.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Command(NamedTuple):
    """A command.

    Attributes
    ----------
    place
        The module under `shiftwork.cli.commands`, and the function in it.
    help
        The first line of the function's docstring.
    settings
        Settings of its context that are not the usual ones.
    """

    place: str
    help: str
    panel: str = "Commands"
    settings: Mapping[str, Any] = MappingProxyType({})


class Group(NamedTuple):
    """A command that is followed by one of its own commands."""

    help: str
    panel: str
    commands: Mapping[str, Command]


_STACK, _DEFINITIONS, _DEMOS = "The stack", "Definitions", "Demos"
_REQUESTS, _WORKERS, _WORKSPACES = "Requests", "Workers", "Workspaces"

COMMANDS: Mapping[str, Command | Group] = {
    "init": Command(
        "dev:init",
        "Make a project of your own in a new folder: callbacks, definitions, tests.",
        _STACK,
    ),
    "dev": Command(
        "dev:dev",
        "Serve this folder's project from one process; what is saved is live at once.",
        _STACK,
    ),
    "test": Command(
        "dev:test",
        "Run this project's tests with pytest, from whichever of its folders.",
        _STACK,
        {"ignore_unknown_options": True},
    ),
    "up": Command("stack:up", "Start the local stack, or bring it up to date.", _STACK),
    "down": Command("stack:down", "Stop the local stack and delete its data.", _STACK),
    "status": Command("stack:status", "Show whether Shiftwork answers, and where.", _STACK),
    "exec": Command(
        "stack:execute",
        "Run a command against a stack of its own, which stops when the command ends.",
        _STACK,
        {"ignore_unknown_options": True, "allow_interspersed_args": False},
    ),
    "deploy": Command("stack:deploy", "Deploy a stage to AWS, after showing what changes.", _STACK),
    "verify": Command(
        "verify:verify",
        "Deploy a throw-away stack, run the demos, count a step of 1,000 jobs, remove it, report.",
        _STACK,
    ),
    "metrics": Group(
        "Metrics of the whole platform.",
        _STACK,
        {
            "show": Command(
                "metrics:show",
                "Show what happened to requests and jobs by type, what waits, and who works.",
            ),
            "rebuild": Command(
                "metrics:rebuild",
                "Count all rows again: after a gap, or when in doubt. It takes 3 to 5 minutes.",
            ),
        },
    ),
    "check": Command(
        "dev:check",
        "Check definitions without sending them anywhere: each fault with its line and column.",
        _DEFINITIONS,
    ),
    "apply": Command(
        "definitions:apply",
        "Apply a folder's definitions of types and workspaces, after showing what changes.",
        _DEFINITIONS,
    ),
    "types": Command(
        "definitions:types", "List the request types and job types, or show one.", _DEFINITIONS
    ),
    "plan-request": Command(
        "plan_request:plan_request",
        "Predict what a request takes, and which quotas it meets; submit nothing.",
        _REQUESTS,
    ),
    "submit": Command("submit:submit", "Submit a request.", _REQUESTS),
    "watch": Command(
        "requests:watch", "Watch a request until it ends. Ctrl-C ends only the watching.", _REQUESTS
    ),
    "requests": Command("requests:list_requests", "List requests, newest first.", _REQUESTS),
    "logs": Command(
        "logs:logs",
        "Show what jobs print and log, in order of time. Its exit code is as that of `watch`.",
        _REQUESTS,
    ),
    "show": Command(
        "requests:show", "Show a request: its steps, its input and its result.", _REQUESTS
    ),
    "jobs": Command("requests:jobs", "List the attempts at a request's jobs.", _REQUESTS),
    "failures": Command(
        "failures:list_failures",
        "List the jobs of a request that have failed for good, each with its own error and item.",
        _REQUESTS,
    ),
    "cancel": Command(
        "requests:cancel",
        "Cancel a request: running jobs may finish, no other job starts.",
        _REQUESTS,
    ),
    "retry": Command(
        "retry:retry",
        "Run the jobs again that failed, of failed requests or of some that tolerate them.",
        _REQUESTS,
    ),
    "explain": Command(
        "requests:explain", "Explain what a request waits for, or why it failed.", _REQUESTS
    ),
    "job": Group(
        "One attempt at a job.",
        _REQUESTS,
        {
            "show": Command(
                "requests:show_job",
                "Show an attempt: its input, its result or its error, and who did it.",
            ),
            "logs": Command("logs:job_logs", "Show what an attempt logged."),
        },
    ),
    "workers": Command(
        "workers:list_workers",
        "List workers: their status, what they run, and when they were last seen.",
        _WORKERS,
    ),
    "worker": Group(
        "One worker.",
        _WORKERS,
        {
            "show": Command("workers:show", "Show a worker's record."),
            "drain": Command(
                "workers:drain", "Give a worker no more jobs. Those it runs may finish."
            ),
            "resume": Command("workers:resume", "Give a drained worker jobs again."),
            "invite": Command(
                "workers:invite", "Get a token with which a worker registers once, within a minute."
            ),
            "revoke": Command(
                "workers:revoke",
                "End all tokens of a worker, within a minute. It can only register again.",
            ),
            "explain": Command("workers:explain", "Explain why a worker gets jobs, or gets none."),
            "forget": Command(
                "workers:forget",
                "Delete the record of a worker that is gone. Its tokens end within a minute.",
            ),
            "run": Command(
                "worker_run:run",
                "Do tasks of polled job types until Ctrl-C or SIGTERM; a second one gives back "
                "what runs.",
            ),
        },
    ),
    "workspaces": Command(
        "workspaces:list_workspaces",
        "List workspaces: their state, and when each switches next.",
        _WORKSPACES,
    ),
    "plan": Command(
        "plan:plan", "Show when a workspace will be on and off, day by day, and why.", _WORKSPACES
    ),
    "override": Command(
        "override:override",
        "Keep a workspace on or off until a time, whatever its schedule says.",
        _WORKSPACES,
    ),
    "lifecycle-jobs": Command(
        "lifecycle_jobs:list_jobs",
        "List the starts and stops of workspaces, newest first.",
        _WORKSPACES,
    ),
    "workspace": Group(
        "One workspace.",
        _WORKSPACES,
        {
            "show": Command(
                "workspaces:show",
                "Show a workspace: its state, its next start and stop, and its definition.",
            ),
            "start": Command(
                "workspaces:start", "Start a workspace now, and end an override that keeps it off."
            ),
            "stop": Command(
                "workspaces:stop", "Stop a workspace now, and end an override that keeps it on."
            ),
            "active": Command(
                "workspaces:active", "Report that a workspace is in use, so that it stops later."
            ),
            "deadline": Command(
                "workspaces:deadline",
                "Set when a running workspace stops; its schedule may stop it sooner.",
            ),
            "delete": Command(
                "workspaces:delete",
                "Delete a workspace's record. Its machines stay as they are, "
                "and nothing switches them.",
            ),
            "explain": Command(
                "workspaces:explain",
                "Explain a workspace's state: its cause, its next change, and what blocks that.",
            ),
        },
    ),
    "lifecycle-job": Group(
        "One start or stop of a workspace.",
        _WORKSPACES,
        {
            "show": Command(
                "lifecycle_jobs:show", "Show a start or stop: its cause and its progress."
            ),
            "logs": Command("lifecycle_jobs:logs", "Show the log of a start or stop."),
            "cancel": Command(
                "lifecycle_jobs:cancel", "Cancel one start or stop; later ones still happen."
            ),
        },
    ),
    "demo": Command(
        "demos:demo", "Index the documents of a folder, and watch the request.", _DEMOS
    ),
    "demo-wide": Command(
        "demos:demo_wide",
        "Load a file of 100,000 rows, a job for each, tolerate the bad ones, and list them.",
        _DEMOS,
    ),
    "demo-workers": Command(
        "demos:demo_workers",
        "Start two workers, give them parcels to send, kill one, and watch its tasks move.",
        _DEMOS,
    ),
    "demo-workspaces": Command(
        "demos:demo_workspaces",
        "Switch workspaces on and off by schedule, by override and by hand, and watch.",
        _DEMOS,
    ),
}
