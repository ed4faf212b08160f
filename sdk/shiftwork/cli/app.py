"""Assemble the command line's commands, and turn their errors into exit codes.

Only typer is imported here, so that `shiftwork --help` does not wait for what draws tables.
"""

from __future__ import annotations

from typing import Any

import typer

from shiftwork.cli.commands import (
    definitions,
    demos,
    dev,
    failures,
    lifecycle_jobs,
    metrics,
    override,
    plan,
    plan_request,
    requests,
    stack,
    submit,
    verify,
    worker_run,
    workers,
    workspaces,
)
from shiftwork.cli.render.controls import visible
from shiftwork.cli.routes_as_commands import as_commands
from shiftwork.cli.suggesting import Suggesting


class _Group(Suggesting):
    """Turns the errors of every command into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from .exit_codes import Exit

            raise typer.Exit(Exit.INTERRUPTED) from None
        except Exception as error:
            from shiftwork.api.errors import ShiftworkError
            from shiftwork.local import LocalStackError

            from .exit_codes import exit_of

            if not isinstance(error, (ShiftworkError, LocalStackError)):
                raise
            _complain(error)
            raise typer.Exit(exit_of(error)) from None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Shiftwork: requests made of steps and jobs, workers that do them, and workspaces that "
    "are on when they are needed.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 unreachable, "
    "6 unauthorized, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _complain(error: Exception) -> None:
    """Write everything that is wrong, and what to do next."""
    message = visible(str(error))
    typer.echo(f"Error: {message}", err=True)
    faults = getattr(error, "faults", [])
    if not (len(faults) == 1 and faults[0].message in message):
        for fault in faults:
            typer.echo(visible(f"  {fault}"), err=True)
    if next_step := as_commands(str(getattr(error, "next_step", ""))):
        typer.echo(next_step[:1].upper() + next_step[1:], err=True)


_STACK, _DEFINITIONS, _DEMOS = "The stack", "Definitions", "Demos"
_REQUESTS, _WORKERS, _WORKSPACES = "Requests", "Workers", "Workspaces"

app.command(rich_help_panel=_STACK)(dev.init)
app.command(rich_help_panel=_STACK)(dev.dev)
app.command(rich_help_panel=_STACK)(stack.up)
app.command(rich_help_panel=_STACK)(stack.down)
app.command(rich_help_panel=_STACK)(stack.status)
app.command(
    "exec",
    rich_help_panel=_STACK,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)(stack.execute)

app.command(rich_help_panel=_STACK)(verify.verify)
app.add_typer(metrics.metrics_app, cls=Suggesting, name="metrics", rich_help_panel=_STACK)

app.command(rich_help_panel=_DEFINITIONS)(dev.check)
app.command(rich_help_panel=_DEFINITIONS)(definitions.apply)
app.command(rich_help_panel=_DEFINITIONS)(definitions.types)

app.command("plan-request", rich_help_panel=_REQUESTS)(plan_request.plan_request)
app.command(rich_help_panel=_REQUESTS)(submit.submit)
app.command(rich_help_panel=_REQUESTS)(requests.watch)
app.command("requests", rich_help_panel=_REQUESTS)(requests.list_requests)
app.command(rich_help_panel=_REQUESTS)(requests.show)
app.command(rich_help_panel=_REQUESTS)(requests.jobs)
app.command("failures", rich_help_panel=_REQUESTS)(failures.list_failures)
app.command(rich_help_panel=_REQUESTS)(requests.cancel)
app.command(rich_help_panel=_REQUESTS)(requests.retry)
app.command(rich_help_panel=_REQUESTS)(requests.explain)
app.add_typer(requests.job_app, cls=Suggesting, name="job", rich_help_panel=_REQUESTS)

app.command("workers", rich_help_panel=_WORKERS)(workers.list_workers)
workers.worker_app.command("run")(worker_run.run)
app.add_typer(workers.worker_app, cls=Suggesting, name="worker", rich_help_panel=_WORKERS)

app.command("workspaces", rich_help_panel=_WORKSPACES)(workspaces.list_workspaces)
app.command(rich_help_panel=_WORKSPACES)(plan.plan)
app.command(rich_help_panel=_WORKSPACES)(override.override)
app.command("lifecycle-jobs", rich_help_panel=_WORKSPACES)(lifecycle_jobs.list_jobs)
app.add_typer(
    workspaces.workspace_app, cls=Suggesting, name="workspace", rich_help_panel=_WORKSPACES
)
app.add_typer(
    lifecycle_jobs.lifecycle_job_app,
    cls=Suggesting,
    name="lifecycle-job",
    rich_help_panel=_WORKSPACES,
)

app.command(rich_help_panel=_DEMOS)(demos.demo)
app.command("demo-wide", rich_help_panel=_DEMOS)(demos.demo_wide)
app.command("demo-workers", rich_help_panel=_DEMOS)(demos.demo_workers)
app.command("demo-workspaces", rich_help_panel=_DEMOS)(demos.demo_workspaces)
