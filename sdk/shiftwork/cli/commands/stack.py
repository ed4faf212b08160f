"""Commands for the local stack: start it, stop it, see its status, run a command against one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from shiftwork.cli import connection
from shiftwork.cli.activation import missing_activation
from shiftwork.cli.asking import ask
from shiftwork.cli.render.output import Format, Output, OutputOption


def up(output: OutputOption = Format.TABLE) -> None:
    """Start the local stack, or bring it up to date."""
    from shiftwork.local import Stack

    out = Output(output)
    env = Stack.find().up(report=out.message)
    if out.is_json:
        out.json(env)
        return
    out.fields([("url", env.get("SHIFTWORK_URL")), ("aws", env.get("AWS_ENDPOINT_URL"))])
    if activation := missing_activation():
        out.message(f"Put shiftwork on your path with: {activation}")
    out.message("Next: shiftwork apply")


def down(output: OutputOption = Format.TABLE) -> None:
    """Stop the local stack and delete its data."""
    from shiftwork.local import Stack

    out = Output(output)
    is_stopped = Stack.find().down(report=out.message)
    if out.is_json:
        out.json({"stopped": is_stopped})
    else:
        out.line("The stack is stopped." if is_stopped else "No stack was running.")


def status(output: OutputOption = Format.TABLE) -> None:
    """Show whether Shiftwork answers, and where."""
    from shiftwork.api.config import Config
    from shiftwork.api.errors import NotConfigured, ShiftworkError, Unauthorized
    from shiftwork.cli.exit_codes import Exit
    from shiftwork.local import LocalStackError, Stack

    out = Output(output)
    answer: dict[str, Any] = {
        "url": None, "is_answering": False, "may_read": False, "local": None
    }  # fmt: skip
    try:
        config = Config.load()
        answer["url"] = config.url
        if config.is_recorded and config.home is not None:
            out.message(f"No stack belongs to this folder: this is the one of {config.home.parent}")
        with connection.connect() as client:
            client.heartbeat()
            answer["is_answering"] = True
            client.list(limit=1)
            answer["may_read"] = True
    except NotConfigured:
        pass
    except Unauthorized as error:  # Of tokens of scope worker or submit that is right.
        out.fault(f"The token may not read: {error}")
    except ShiftworkError as error:
        out.fault(str(error))
    try:
        stack = Stack.find().status()
        answer["local"] = {
            "endpoint": stack.endpoint,
            "is_running": stack.is_running,
            "is_deployed": stack.is_deployed,
            "pid": stack.pid,
            "log": str(stack.log),
        }
        if stack.is_lost:
            out.message("The emulator has ended by itself: what was in it is lost.")
    except LocalStackError:
        pass  # Outside a project there is no local stack.
    if out.is_json:
        out.json(answer)
    else:
        _write_status(out, answer)
    if not answer["is_answering"]:
        raise typer.Exit(Exit.UNREACHABLE)
    if not answer["may_read"]:
        raise typer.Exit(Exit.UNAUTHORIZED)


def _write_status(out: Output, answer: dict[str, Any]) -> None:
    local = answer["local"] or {}
    out.fields(
        [
            ("api", answer["url"] or "not configured"),
            ("status", "answers" if answer["is_answering"] else "does not answer"),
            ("token", "may read" if answer["may_read"] else "may not read"),
            ("emulator", local.get("endpoint")),
            ("emulator runs", {True: "yes", False: "no", None: None}[local.get("is_running")]),
            ("pid", local.get("pid")),
            ("log", local.get("log")),
        ]
    )
    out.message(
        "Next: shiftwork requests"
        if answer["is_answering"]
        else "Start one with: shiftwork dev, or shiftwork up"
    )


def execute(
    command: Annotated[list[str], typer.Argument(help="What to run, after --.", metavar="COMMAND")],
) -> None:
    """Run a command against a stack of its own, which stops when the command ends.

    The command's environment has SHIFTWORK_URL, SHIFTWORK_TOKEN and the settings of AWS. Its exit
    code becomes the exit code of exec: shiftwork exec -- pytest tests/integration
    """
    from shiftwork.local import Stack

    raise typer.Exit(Stack.find().run_with_ephemeral(command, report=Output().message))


def deploy(
    stage: Annotated[str, typer.Argument(help="One of shiftwork.toml, such as prod.")] = "dev",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Only show its parameters, and how to reach it.")
    ] = False,
) -> None:
    """Deploy a stage to AWS, after showing what changes."""
    from pathlib import Path

    from shiftwork.local import aws_deployment
    from shiftwork.local.sources import Sources

    def agree() -> None:
        if not yes:
            ask("Deploy?", "deploy")

    sources = Sources.find(Path.cwd())
    if show:
        aws_deployment.explain(sources, stage)
    else:
        aws_deployment.deploy(sources, stage, agree)
