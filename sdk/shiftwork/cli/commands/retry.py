"""Retry requests: one, several, or those of a status and a type."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from shiftwork.cli import asking, choices, completing, connection, references
from shiftwork.cli.commands.requests import follow_request, write_requests
from shiftwork.cli.render.output import Format, Output, OutputOption

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.shapes import JsonObject, Request

#: One command retries so many at most.
_MOST = 500

RequestIds = Annotated[
    list[str] | None,
    typer.Argument(
        help="The requests' ids or their beginnings; `last` is the newest.",
        show_default=False,
        autocompletion=completing.requests,
    ),
]
Status = Annotated[
    str | None,
    typer.Option(help="Instead of ids: the newest of this status, failed or completed."),
]
Type = Annotated[str | None, typer.Option(help="With --status: only those of this type.")]
Limit = Annotated[int, typer.Option(min=1, max=_MOST, help="With --status: how many at most.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="With --status: do not ask.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Watch the one to its end.")]


def retry(
    request_ids: RequestIds = None,
    status: Status = None,
    type: Type = None,
    limit: Limit = 20,
    is_sure: Yes = False,
    follow: Follow = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Run the jobs again that failed, of failed requests or of some that tolerate them."""
    out = Output(output)
    wanted = choices.one_of("--status", status, ("Failed", "Completed"))
    _check(request_ids or [], wanted, type, follow)
    with connection.connect() as client:
        if wanted is None:
            ids = [references.request_id(client, id, to_change=True) for id in request_ids or []]
            ids = list(dict.fromkeys(ids))
        else:
            ids = _chosen(client, wanted, type, limit, out, is_sure)
        if len(ids) == 1 and wanted is None:
            _retry_one(client, ids[0], out, follow)
        else:
            _retry_each(client, ids, out)


def _check(ids: list[str], status: str | None, type: str | None, follow: bool) -> None:
    if bool(ids) == bool(status):
        raise typer.BadParameter("name requests, or say --status", param_hint="REQUEST_IDS")
    if type and not status:
        raise typer.BadParameter("it goes with --status", param_hint="--type")
    if follow and len(ids) != 1:
        raise typer.BadParameter("it follows one request", param_hint="--follow")
    if len(ids) > _MOST:
        raise typer.BadParameter(f"at most {_MOST} at once", param_hint="REQUEST_IDS")


def _chosen(
    client: ShiftworkClient, status: str, type: str | None, limit: int, out: Output, is_sure: bool
) -> list[str]:
    """Show which requests are meant, and return their ids once somebody agrees."""
    found = list(islice(client.list_all(status=status, type=type), limit + 1))
    shown = found[:limit]
    if not out.is_json:
        write_requests(out, shown)
    if not shown:
        out.message("There are none of these. List all with: shiftwork requests")
    elif len(found) > limit:
        out.message(f"There are more; these are the newest {limit}.")
    if shown and not is_sure:
        asking.ask(f"Retry {len(shown)}?", "retry them")
    return [request["request_id"] for request in shown]


def _retry_one(client: ShiftworkClient, id: str, out: Output, follow: bool) -> None:
    request = client.retry(id)
    if follow:
        follow_request(client, id, out)
        return
    if out.is_json:
        out.json(request)
        return
    out.line(f"{id} is {request['status']}.")
    out.message(f"Watch it with: shiftwork watch {id}")


def _retry_each(client: ShiftworkClient, ids: list[str], out: Output) -> None:
    """Retry each, tell how that went, and fail if one was refused."""
    from shiftwork.api.errors import ApiError, Unauthorized
    from shiftwork.cli.exit_codes import Exit

    retried: list[Request] = []
    refused: list[JsonObject] = []
    for id in ids:
        try:
            retried.append(client.retry(id))
        except Unauthorized:
            raise
        except ApiError as error:
            refused.append({"request_id": id, "error": error.message})
            out.fault(f"{id} is refused: {error.message}")
        else:
            if not out.is_json:
                out.line(f"{id} is {retried[-1]['status']}.")
    if out.is_json:
        out.json({"items": retried, "refused": refused})
    if refused:
        out.fault(f"{len(refused)} of {len(ids)} are refused.")
        raise typer.Exit(Exit.FAILED)
