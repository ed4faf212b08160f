"""The commands. Each parses, calls the client, and writes the answer.

Only typer is imported here: `shiftwork --help` need not wait for what draws tables.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from shiftwork.cli.output import Format, Output, compact, duration

if TYPE_CHECKING:
    from shiftwork.client import ShiftworkClient
    from shiftwork.views import Request, RequestSummary

_MAX_VALUE_CHARACTERS = 500


class _Group(TyperGroup):
    """Turns the errors of every command into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from .exits import Exit

            raise typer.Exit(Exit.INTERRUPTED) from None
        except Exception as error:
            from shiftwork.errors import ShiftworkError
            from shiftwork.local import LocalStackError

            from .exits import exit_of

            if not isinstance(error, (ShiftworkError, LocalStackError)):
                raise
            _complain(error)
            raise typer.Exit(exit_of(error)) from None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Shiftwork: serverless work made of requests, steps and jobs.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 unreachable, "
    "6 unauthorized, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
job_app = typer.Typer(no_args_is_help=True, help="One attempt at a job.")
app.add_typer(job_app, name="job")

OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="How to write the answer.", show_default=True)
]
RequestId = Annotated[str, typer.Argument(help="The request's id, or `last` for the newest.")]


def connect() -> ShiftworkClient:
    """Return a client for the configured Shiftwork; tests put their own in its place."""
    from shiftwork.client import ShiftworkClient

    return ShiftworkClient()


def _complain(error: Exception) -> None:
    """Say what is wrong, all of it, and what to do next."""
    message = str(error)
    typer.echo(f"Error: {message}", err=True)
    faults = getattr(error, "faults", [])
    if not (len(faults) == 1 and faults[0].message in message):
        for fault in faults:
            typer.echo(f"  {fault}", err=True)
    if next_step := _as_commands(str(getattr(error, "next_step", ""))):
        typer.echo(next_step[:1].upper() + next_step[1:], err=True)


#: The API's advice names routes; on a command line these are what to type.
_COMMANDS = (
    (r"GET /v1/requests/(\S+)/jobs", r"shiftwork jobs \1"),
    (r"GET /v1/requests/(\S+)", r"shiftwork show \1"),
    (r"GET /v1/requests", "shiftwork requests"),
    (r"GET /v1/(?:request|job)-types/(\S+)", r"shiftwork types \1"),
    (r"GET /v1/(?:request|job)-types", "shiftwork types"),
    (r"`errors` names; GET /openapi.json.*", "is named above"),
)


def _as_commands(advice: str) -> str:
    for route, command in _COMMANDS:
        advice = re.sub(route, command, advice)
    return advice


def _resolve(client: ShiftworkClient, request_id: str) -> str:
    """Return the id that `last` stands for, or the id itself."""
    if request_id != "last":
        return request_id
    from shiftwork.errors import NotFound

    page = client.list(limit=1)
    if not page["items"]:
        raise NotFound(404, "There are no requests yet.")
    return page["items"][0]["request_id"]


# -- the stack -----------------------------------------------------------------------------------


@app.command()
def up(output: OutputOption = Format.TABLE) -> None:
    """Start the local stack, or bring it up to date."""
    from shiftwork.local import Stack

    out = Output(output)
    env = Stack.find().up(report=out.message)
    if out.is_json:
        out.json(env)
        return
    out.fields([("url", env.get("SHIFTWORK_URL")), ("aws", env.get("AWS_ENDPOINT_URL"))])
    if shutil.which("shiftwork") is None:
        out.message(f"Put shiftwork on your path with: . {_activation()}")
    out.message("Next: shiftwork demo, or shiftwork apply definitions/")


def _activation() -> str:
    """Return the script that puts this environment's commands on a shell's path."""
    script = Path(sys.prefix) / "bin" / "activate"
    here = Path.cwd()
    return str(script.relative_to(here) if script.is_relative_to(here) else script)


@app.command()
def down(output: OutputOption = Format.TABLE) -> None:
    """Stop the local stack and forget what was in it."""
    from shiftwork.local import Stack

    out = Output(output)
    is_stopped = Stack.find().down(report=out.message)
    if out.is_json:
        out.json({"stopped": is_stopped})
    else:
        out.line("The stack is stopped." if is_stopped else "No stack was running.")


@app.command()
def status(output: OutputOption = Format.TABLE) -> None:
    """Tell whether Shiftwork answers, and where."""
    from shiftwork.config import Config
    from shiftwork.errors import NotConfigured, ShiftworkError
    from shiftwork.local import LocalStackError, Stack

    from .exits import Exit

    out = Output(output)
    answer: dict[str, Any] = {"url": None, "is_answering": False, "local": None}
    try:
        answer["url"] = Config.load().url
        with connect() as client:
            client.heartbeat()
            answer["is_answering"] = True
    except NotConfigured:
        pass
    except ShiftworkError as error:
        out.message(str(error))
    try:
        stack = Stack.find().status()
        answer["local"] = {
            "endpoint": stack.endpoint,
            "is_running": stack.is_running,
            "is_deployed": stack.is_deployed,
            "pid": stack.pid,
            "log": str(stack.log),
        }
    except LocalStackError:
        pass  # Outside a project there is no local stack to speak of.
    if out.is_json:
        out.json(answer)
    else:
        _write_status(out, answer)
    if not answer["is_answering"]:
        raise typer.Exit(Exit.UNREACHABLE)


def _write_status(out: Output, answer: dict[str, Any]) -> None:
    local = answer["local"] or {}
    out.fields(
        [
            ("api", answer["url"] or "not configured"),
            ("status", "answers" if answer["is_answering"] else "does not answer"),
            ("emulator", local.get("endpoint")),
            ("emulator runs", {True: "yes", False: "no", None: None}[local.get("is_running")]),
            ("pid", local.get("pid")),
            ("log", local.get("log")),
        ]
    )
    out.message(
        "Next: shiftwork requests" if answer["is_answering"] else "Start a stack with: shiftwork up"
    )


@app.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
def execute(
    command: Annotated[list[str], typer.Argument(help="After --: what to run.", metavar="COMMAND")],
) -> None:
    """Run a command against a stack of its own, which ends with it.

    The command finds SHIFTWORK_URL, SHIFTWORK_TOKEN and AWS's settings in its environment, and
    its exit code is passed on: shiftwork exec -- pytest tests/integration
    """
    from shiftwork.local import Stack

    raise typer.Exit(Stack.find().run_with_ephemeral(command, report=Output().message))


# -- definitions ---------------------------------------------------------------------------------


@app.command()
def apply(
    path: Annotated[Path, typer.Argument(exists=True, help="A YAML file, or a folder of them.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Make the definitions of a folder the latest ones, after showing what changes."""
    from . import applying
    from .exits import Exit

    out = Output(output)
    definitions = applying.read(path)
    with connect() as client:
        changes = applying.plan(client, definitions)
        if not out.is_json:
            _write_plan(out, changes)
        is_changing = any(change.action != "unchanged" for change in changes)
        if is_changing and not yes:
            _ask()
        refused = applying.apply(client, changes)
    if out.is_json:
        out.json({"changes": [change.to_json() for change in changes]})
    for change in refused:
        definition = change.definition
        out.message(f"Refused: {definition.kind} {definition.name} ({definition.place})")
        for fault in change.faults:
            out.message(f"  {fault}")
    if refused:
        out.message("Mend the definitions, then apply again; the others are applied.")
        raise typer.Exit(Exit.REFUSED)
    if is_changing and not out.is_json:
        out.line("Applied.")


def _ask() -> None:
    """Ask whether to go on.

    Raises
    ------
    typer.Exit
        If the answer is no, or nobody is there to ask.
    """
    from .exits import Exit

    if not _is_somebody_there():
        typer.echo("Nobody is there to ask: nothing was changed. Add --yes to apply.", err=True)
        raise typer.Exit(Exit.USAGE)
    if not typer.confirm("Apply?", err=True):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(Exit.FAILED)


def _is_somebody_there() -> bool:
    return sys.stdin.isatty()


def _write_plan(out: Output, changes: list[Any]) -> None:
    from rich.text import Text

    marks = {"create": ("+", "green"), "update": ("~", "yellow"), "unchanged": ("=", "dim")}
    for change in changes:
        mark, style = marks[change.action]
        definition = change.definition
        line = Text(f"{mark} {definition.kind} {definition.name}  ", style)
        line.append(change.action)
        if change.action == "update":
            line.append(f" of version {change.version}")
        out.line(line)
        for field in change.fields:
            out.line(f"    {field.path}: {_side(field.before)} -> {_side(field.after)}")
    counts = {a: sum(change.action == a for change in changes) for a in marks}
    out.line(
        f"{counts['create']} to create, {counts['update']} to update, "
        f"{counts['unchanged']} unchanged"
    )


def _side(value: Any) -> str:
    return "(none)" if value is None else compact(value)


@app.command()
def types(
    name: Annotated[str | None, typer.Argument(help="One of them, in full.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List the request types and job types, or show one."""
    from .applying import KINDS

    out = Output(output)
    with connect() as client:
        found = [d for kind in reversed(KINDS) for d in client.definitions(kind)]
    if name is not None:
        found = [d for d in found if d["name"] == name]
        if not found:
            from shiftwork.errors import NotFound

            raise NotFound(404, f"There is no type {name!r}.")
    if out.is_json:
        out.json({"items": found})
    elif name is not None:
        for definition in found:
            out.json(definition)
    else:
        rows = [(d["kind"], d["name"], d["version"], d.get("description", "")) for d in found]
        out.table(("KIND", "NAME", "VERSION", "DESCRIPTION"), rows)


# -- requests ------------------------------------------------------------------------------------


@app.command()
def submit(
    type: Annotated[str, typer.Argument(help="The request type.")],
    pairs: Annotated[
        list[str] | None,
        typer.Argument(help="Params as key=text or key:=JSON.", metavar="KEY=VALUE"),
    ] = None,
    params: Annotated[
        str | None, typer.Option(help="Params as a JSON object, @FILE, or @- for stdin.")
    ] = None,
    extras: Annotated[str | None, typer.Option(help="Extras, in the same ways.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Watch it to its end.")] = False,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key and input make one request.")
    ] = None,
    correlation_id: Annotated[str | None, typer.Option(help="An id of yours to keep.")] = None,
    priority: Annotated[
        int | None, typer.Option(min=0, max=99, help="A number to keep with it.")
    ] = None,
    start_at: Annotated[
        str | None,
        typer.Option(help="Not before then, e.g. 2026-01-31T09:00:00Z; without offset local time."),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Submit a request."""
    from shiftwork.errors import ShiftworkError

    out = Output(output)
    body = _read_object(params, "--params") | dict(_read_pair(pair) for pair in pairs or [])
    given_extras = _read_object(extras, "--extras")
    with connect() as client:
        try:
            request = client.submit(
                type,
                body,
                extras=given_extras or None,
                idempotency_key=idempotency_key,
                correlation_id=correlation_id,
                priority=priority,
                start_at=_read_time(start_at),
            )
        except ShiftworkError as error:
            refused = {fault.path for fault in getattr(error, "faults", [])}
            error.next_step = _advice_on_json(pairs or [], refused) or error.next_step
            raise
        if follow:
            _follow(client, request["request_id"], out)
            return
    if out.is_json:
        out.json(request)
        return
    out.line(request["request_id"])
    out.message(f"Watch it with: shiftwork watch {request['request_id']}")


def _read_object(text: str | None, option: str) -> dict[str, Any]:
    """Read a JSON object from the text itself, or from where `@` points."""
    if text is None:
        return {}
    try:
        if text == "@-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        value = json.loads(text)
    except OSError as error:
        raise typer.BadParameter(f"{error.filename}: {error.strerror}", param_hint=option) from None
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=option) from None
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object", param_hint=option)
    return value


def _read_pair(pair: str) -> tuple[str, Any]:
    key, separator, value = pair.partition("=")
    if not separator or not key.rstrip(":"):
        raise typer.BadParameter(f"{pair!r} is not key=text or key:=JSON", param_hint="KEY=VALUE")
    if not key.endswith(":"):
        return key, value
    try:
        return key[:-1], json.loads(value)
    except ValueError as error:
        raise typer.BadParameter(f"{pair!r}: not JSON: {error}", param_hint="KEY=VALUE") from None


def _advice_on_json(pairs: list[str], refused: set[str]) -> str:
    """Return how to give JSON, if a value that looks like it was refused as the text it is."""
    for pair in pairs:
        key, _, value = pair.partition("=")
        if f"params.{key}" in refused and _is_json(value):
            return f"if {key} is JSON, not text, write: {shlex.quote(f'{key}:={value}')}"
    return ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _read_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--start-at") from None


@app.command()
def watch(request_id: RequestId, output: OutputOption = Format.TABLE) -> None:
    """Watch a request until it ends. Ctrl-C ends the watching only."""
    with connect() as client:
        _follow(client, _resolve(client, request_id), Output(output))


def _follow(client: ShiftworkClient, request_id: str, out: Output) -> None:
    """Watch the request and exit by what became of it."""
    from . import live
    from .exits import Exit

    request = live.watch(client, request_id, out)
    if out.is_json:
        out.json(request)
    if request["status"] != "Completed":
        if request["status"] == "Failed":
            out.message(f"Find out why with: shiftwork explain {request_id}")
        raise typer.Exit(Exit.FAILED)
    if not out.is_json:
        out.message(f"See its result with: shiftwork show {request_id}")


@app.command("requests")
def list_requests(
    status: Annotated[str | None, typer.Option(help="Only those of this status.")] = None,
    type: Annotated[str | None, typer.Option(help="Only those of this type.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    output: OutputOption = Format.TABLE,
) -> None:
    """List requests, newest first."""
    out = Output(output)
    wanted = status.capitalize() if status else None
    with connect() as client:
        items = list(islice(client.list_all(status=wanted, type=type), limit + 1))
    shown, has_more = items[:limit], len(items) > limit
    if out.is_json:
        out.json({"items": shown, "has_more": has_more})
        return
    columns = ("REQUEST ID", "TYPE", "STATUS", "STEP", "CREATED", "TOOK")
    out.table(columns, [_request_row(request) for request in shown])
    if has_more:
        out.message(f"There are more: shiftwork requests --limit {limit * 5}")
    if not shown:
        out.message("There are none. Submit one with: shiftwork submit TYPE (or: shiftwork demo)")


def _request_row(request: RequestSummary) -> tuple[object, ...]:
    return (
        request["request_id"],
        request["type"],
        request["status"],
        request["current_step"],
        request["created_at"][:19].replace("T", " "),
        duration(request["created_at"], request["completed_at"]),
    )


@app.command()
def show(request_id: RequestId, output: OutputOption = Format.TABLE) -> None:
    """Show a request: its steps, its input and its result."""
    out = Output(output)
    with connect() as client:
        request = client.get(_resolve(client, request_id))
    if out.is_json:
        out.json(request)
        return
    _write_request(out, request)
    out.message(_hint(request))


def _write_request(out: Output, request: Request) -> None:
    error = request["error"]
    out.fields(
        [
            ("request", request["request_id"]),
            ("type", f"{request['type']} version {request['type_version']}"),
            ("status", request["status"]),
            ("error", error and f"{error['type']}: {error['message']}"),
            ("correlation", request["correlation_id"]),
            ("priority", request["priority"] or None),
            ("starts at", request["start_at"]),
            ("created", request["created_at"]),
            ("completed", request["completed_at"]),
            ("took", duration(request["created_at"], request["completed_at"])),
            ("params", _shortened(request["params"])),
            ("extras", _shortened(request["extras"])),
        ]
    )
    statuses = [
        status
        for status in ("completed", "inprogress", "new", "retry", "failure", "cancelled")
        if status == "completed" or any(dict(step["jobs"])[status] for step in request["steps"])
    ]
    out.line()
    out.table(
        ("STEP", "NAME", "STATUS", *(status.upper() for status in statuses), "TOOK"),
        [
            (
                step["index"],
                step["name"],
                step["status"],
                *(dict(step["jobs"])[status] for status in statuses),
                duration(step["started_at"], step["completed_at"]),
            )
            for step in request["steps"]
        ],
    )


def _shortened(value: Any) -> str:
    text = compact(value) if value else ""
    if len(text) <= _MAX_VALUE_CHARACTERS:
        return text
    return f"{text[:_MAX_VALUE_CHARACTERS]}… ({len(text):,} characters; all with -o json)"


def _hint(request: Request) -> str:
    request_id = request["request_id"]
    match request["status"]:
        case "Failed":
            return f"Next: shiftwork explain {request_id}, then shiftwork retry {request_id}"
        case "Completed" | "Cancelled":
            return f"Next: shiftwork jobs {request_id}"
        case _:
            return f"Next: shiftwork watch {request_id}"


@app.command()
def jobs(
    request_id: RequestId,
    step: Annotated[int | None, typer.Option(min=1, help="Only this step, from 1.")] = None,
    status: Annotated[str | None, typer.Option(help="Only attempts of this status.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """List the attempts at a request's jobs."""
    from .live import label_of

    out = Output(output)
    with connect() as client:
        attempts = client.jobs(
            _resolve(client, request_id), step=step, status=status.lower() if status else None
        )
        items = list(attempts)
    if out.is_json:
        out.json({"items": items})
        return
    out.table(
        ("ATTEMPT ID", "JOB", "STATUS", "ATTEMPT", "TOOK", "ERROR"),
        [
            (
                a["attempt_id"],
                label_of(a),
                a["status"],
                a["attempt"],
                duration(a["started_at"], a["completed_at"]),
                f"{a['error']['type']}: {a['error']['message']}" if a["error"] else "",
            )
            for a in items
        ],
    )
    if items:
        telling = next((a for a in items if a["status"] == "failure"), items[0])
        out.message(f"See what one logged with: shiftwork job logs {telling['attempt_id']}")


@app.command()
def cancel(request_id: RequestId, output: OutputOption = Format.TABLE) -> None:
    """Cancel a request: what runs may finish, nothing more starts."""
    out = Output(output)
    with connect() as client:
        request = client.cancel(_resolve(client, request_id))
    if out.is_json:
        out.json(request)
    else:
        out.line(f"{request['request_id']} is {request['status']}.")


@app.command()
def retry(
    request_id: RequestId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Watch it to its end.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Run again what failed in a failed request, then go on."""
    out = Output(output)
    with connect() as client:
        request = client.retry(_resolve(client, request_id))
        if follow:
            _follow(client, request["request_id"], out)
            return
    if out.is_json:
        out.json(request)
        return
    out.line(f"{request['request_id']} is {request['status']}.")
    out.message(f"Watch it with: shiftwork watch {request['request_id']}")


@app.command()
def explain(request_id: RequestId, output: OutputOption = Format.TABLE) -> None:
    """Say why a request stands where it stands."""
    out = Output(output)
    with connect() as client:
        explanation = client.explain(_resolve(client, request_id))
    if out.is_json:
        out.json(explanation)
        return
    out.fields(
        [
            ("request", explanation["request_id"]),
            ("status", explanation["status"]),
            ("why", explanation["summary"]),
            ("wakes at", explanation["wakes_at"]),
        ]
    )
    if explanation["blocked_by"]:
        out.line()
        out.table(
            ("ATTEMPT ID", "JOB", "STATUS", "REASON", "WAKES AT"),
            [
                (b["attempt_id"], b["job"], b["status"], b["reason"], b["wakes_at"])
                for b in explanation["blocked_by"]
            ],
        )
    if explanation["next"]:
        out.message(f"Next: {explanation['next']}")


@job_app.command("logs")
def job_logs(
    attempt_id: Annotated[str, typer.Argument(help="An attempt's id, from `shiftwork jobs`.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Show what an attempt logged."""
    out = Output(output)
    with connect() as client:
        lines = client.job_logs(attempt_id)
        if out.is_json:
            out.json({"items": list(lines)})
            return
        is_empty = True
        for line in lines:
            is_empty = False
            out.line(f"{line['timestamp']}  {_log_text(line['message'])}")
    if is_empty:
        out.message("It has logged nothing so far; lines may take some seconds to arrive.")


def _log_text(message: str) -> str:
    """Return what a line says: of a structured one its level, message and exception."""
    try:
        fields = json.loads(message)
    except ValueError:
        return message.rstrip()
    if not isinstance(fields, dict) or "message" not in fields:
        return message.rstrip()
    said = fields["message"]
    text = f"{fields.get('level', '')}  {said if isinstance(said, str) else compact(said)}"
    return text + (f"\n{fields['exception']}" if fields.get("exception") else "")


# -- the demo ------------------------------------------------------------------------------------


@app.command()
def demo(
    folder: Annotated[
        Path,
        typer.Option(
            exists=True, file_okay=False, help="Whose Markdown and Python files to index."
        ),
    ] = Path(),
    output: OutputOption = Format.TABLE,
) -> None:
    """Index the documents of a folder, and watch how it is done."""
    from . import demonstration

    with connect() as client:
        demonstration.run(client, folder, Output(output))
