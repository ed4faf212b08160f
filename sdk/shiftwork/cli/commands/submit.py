"""`shiftwork submit`: submit a request with params from pairs, JSON and files."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from shiftwork.cli import completing, connection
from shiftwork.cli.commands.requests import follow_request
from shiftwork.cli.render import local_time
from shiftwork.cli.render.output import Format, Output, OutputOption
from shiftwork.cli.time_words import EXAMPLES

RequestType = Annotated[
    str, typer.Argument(help="The request type.", autocompletion=completing.request_types)
]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(help="Params as key=text or key:=JSON.", metavar="KEY=VALUE"),
]
Params = Annotated[
    str | None, typer.Option(help="Params as a JSON object, @FILE, or @- for stdin.")
]
Extras = Annotated[str | None, typer.Option(help="Extras, in the same ways.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Watch it to its end.")]
IdempotencyKey = Annotated[
    str | None, typer.Option(help="The same key and input make one request.")
]
CorrelationId = Annotated[str | None, typer.Option(help="An id of yours to keep.")]
Priority = Annotated[
    int | None, typer.Option(min=0, max=99, help="Its jobs for workers go before lower ones.")
]
StartAt = Annotated[str | None, typer.Option(metavar="TIME", help=f"Not before then: {EXAMPLES}.")]


def submit(
    type: RequestType,
    pairs: Pairs = None,
    params: Params = None,
    extras: Extras = None,
    follow: Follow = False,
    idempotency_key: IdempotencyKey = None,
    correlation_id: CorrelationId = None,
    priority: Priority = None,
    start_at: StartAt = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Submit a request."""
    from shiftwork.api.errors import ShiftworkError

    out = Output(output)
    body = _read_object(params, "--params") | dict(_read_pair(pair) for pair in pairs or [])
    given_extras = _read_object(extras, "--extras")
    with connection.connect() as client:
        try:
            request = client.submit(
                type,
                body,
                extras=given_extras or None,
                idempotency_key=idempotency_key,
                correlation_id=correlation_id,
                priority=priority,
                start_at=local_time.typed(start_at, "--start-at") if start_at else None,
            )
        except ShiftworkError as error:
            refused = {fault.path for fault in getattr(error, "faults", [])}
            error.next_step = _advice_on_json(pairs or [], refused) or error.next_step
            raise
        if follow:
            follow_request(client, request["request_id"], out)
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
        message = f"{pair!r}: not JSON: {error}; a text is given with KEY=VALUE"
        raise typer.BadParameter(message, param_hint="KEY:=JSON") from None


def _advice_on_json(pairs: list[str], refused: set[str]) -> str:
    """Return how to give JSON, if the API refused a text that is JSON."""
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
