"""Show what the jobs of a request print and log, as it comes, or what one attempt has logged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shiftwork.cli import completing, connection, references
from shiftwork.cli.commands.requests import AttemptId, end_watch
from shiftwork.cli.render.output import Format, Output, OutputOption, compact

if TYPE_CHECKING:
    from shiftwork.api.shapes import Request
    from shiftwork.cli.log_lines import Line

Reference = Annotated[
    str,
    typer.Argument(
        help="A request's id or its beginning, or `last`; `last/send[3]` is one job of it.",
        autocompletion=completing.requests,
    ),
]
_NOTHING_YET = "Nothing has been logged yet; lines may take some seconds to arrive."


def logs(
    reference: Reference,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the request ends.")
    ] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show what jobs print and log, in order of time. Its exit code is as that of `watch`."""
    from shiftwork.cli.log_lines import LogReader

    out = Output(output)
    with connection.connect() as client:
        request_id, attempts = _read_reference(client, reference)
        reader = LogReader(client, request_id, attempts)
        if follow:
            _follow(reader, out)
            return
        request, lines = reader.read()
    if out.is_json:
        out.json({"items": [vars(line) for line in lines]})
        return
    for line in lines:
        _write(out, line, request)
    if not lines:
        out.message(_NOTHING_YET)
    _tell_unread(out, request)
    if request["status"] not in ("Completed", "Failed", "Cancelled"):
        out.message(f"Go on with: shiftwork logs {reference} --follow")


def _read_reference(client: Any, text: str) -> tuple[str, str]:
    """Return a request's id, and what the ids of the wanted attempts begin with."""
    if "/" not in text and "." not in text:
        return references.request_id(client, text), ""
    attempt_id = references.attempt_id(client, text)
    request_id = attempt_id.partition(".")[0]
    # A job's name stands for all its attempts, the next one as well.
    return request_id, f"{attempt_id.rpartition('.')[0] if '/' in text else attempt_id}."


def _follow(reader: Any, out: Output) -> None:
    import time

    request: Request | None = None
    try:
        for request, lines in reader.follow(time.sleep):
            for line in lines:
                _write(out, line, request)
    except KeyboardInterrupt:
        from shiftwork.cli.exit_codes import Exit

        out.message("\nThe request goes on.")
        raise typer.Exit(Exit.INTERRUPTED) from None
    assert request is not None
    _tell_unread(out, request)
    end_watch(request, out)


def _write(out: Output, line: Line, request: Request) -> None:
    """Write a line, with its job if the request has several; or as JSON."""
    if out.is_json:
        out.stream(vars(line))
        return
    is_one = sum(step["job_count"] or 0 for step in request["steps"]) == 1
    job = "" if is_one else f"  {line.job}"
    out.paragraph(f"{line.timestamp}{job}  {_log_text(line.message)}")


def _tell_unread(out: Output, request: Request) -> None:
    from shiftwork.cli.log_lines import MAX_ATTEMPTS

    if any((step["job_count"] or 0) > MAX_ATTEMPTS for step in request["steps"]):
        out.message(
            f"Of each step, what workers sent is shown for the first {MAX_ATTEMPTS} attempts. "
            "See another's with: shiftwork job logs ATTEMPT"
        )


def job_logs(
    attempt_id: AttemptId,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show what an attempt logged."""
    out = Output(output)
    with connection.connect() as client:
        lines = client.job_logs(references.attempt_id(client, attempt_id))
        if out.is_json:
            out.json({"items": list(lines)})
            return
        is_empty = True
        for line in lines:
            is_empty = False
            out.paragraph(f"{line['timestamp']}  {_log_text(line['message'])}")
    if is_empty:
        out.message(_NOTHING_YET)


def _log_text(message: str) -> str:
    """Return a line's text: the level, message and exception of a structured one.

    A line that was printed has no level.
    """
    try:
        fields = json.loads(message)
    except ValueError:
        return message.rstrip()
    if not isinstance(fields, dict) or "message" not in fields:
        return message.rstrip()
    said = fields["message"]
    text = said if isinstance(said, str) else compact(said)
    if "stream" not in fields:
        text = f"{fields.get('level', '')}  {text}"
    return text + (f"\n{fields['exception']}" if fields.get("exception") else "")
