"""List the jobs of a request that have failed for good: a table with a summary, JSON, or CSV."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from shiftwork.cli import connection, references
from shiftwork.cli.commands.requests import RequestId
from shiftwork.cli.render.controls import visible
from shiftwork.cli.render.output import Format, Output, OutputOption
from shiftwork.cli.render.tables import Column, Shape
from shiftwork.cli.render.watching import Watched, WatchOption

if TYPE_CHECKING:
    from shiftwork.api.shapes import FailedJob

#: The summary above the table is of so many failures at most.
_MOST_SUMMED = 1_000
#: So many types of errors are in the summary: those of most jobs.
_MOST_TYPES = 10
_SHOWN = 20
_COLUMNS = (
    Column("ATTEMPT ID"),
    Column("JOB", 8, Shape.CUT, least=14),
    Column("TRIES", 5),
    Column("FAILED AT", 6),
    Column("ERROR", 7, Shape.CUT, 40, is_told=True),
    Column("ITEM", 4, Shape.CUT),
)
_SUMMARY = (
    Column("ERROR TYPE", shape=Shape.CUT),
    Column("JOBS"),
    Column("FIRST", 8, Shape.CUT, least=14),
    Column("WHICH SAYS", 6, Shape.CUT),
)
_CSV_HEADER = (
    "attempt_id",
    "job",
    "type",
    "step",
    "attempt",
    "tries",
    "failed_at",
    "error_type",
    "error_message",
    "item",
)
#: What JSON leaves as it is and a terminal obeys.
_CONTROLS = re.compile("[\x7f-\x9f]")
#: A spreadsheet takes a cell that begins so for a formula, and may run it; the last four are the
#: first four in full width.
_FORMULA = ("=", "+", "-", "@", "\t", "\n", "\r", *"\uff1d\uff0b\uff0d\uff20")


def list_failures(
    request_id: RequestId,
    step: Annotated[int | None, typer.Option(min=1, help="Only this step, from 1.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"How many at most; else {_SHOWN}, and with --csv all."),
    ] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Show all of them.")] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Write CSV (RFC 4180) to stdout, page by page.")
    ] = False,
    watch: WatchOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """List the jobs of a request that have failed for good, each with its own error and item."""
    out = Output(output)
    if csv and out.is_json:
        raise typer.BadParameter("it does not go with -o json", param_hint="--csv")
    if csv and watch:
        raise typer.BadParameter("it does not go with --watch", param_hint="--csv")
    if is_all and limit is not None:
        raise typer.BadParameter("it does not go with --limit", param_hint="--all")
    with connection.connect() as client:
        found = references.request_id(client, request_id)
        most = None if is_all else limit or _SHOWN
        if watch:

            def look() -> list[FailedJob]:
                return list(islice(client.failures(found, step=step), most))

            Watched(look, _COLUMNS, _rows, _state).watch(out)
            return
        failures = client.failures(found, step=step)
        if csv:
            _write_csv(islice(failures, limit))
            return
        read = most if most is None or out.is_json else max(most, _MOST_SUMMED)
        items = list(islice(failures, None if read is None else read + 1))
    if out.is_json:
        shown = items[:most]
        out.json({"items": shown, "has_more": len(items) > len(shown)})
        return
    _write_list(out, found, items[:read], most, has_unread=read is not None and len(items) > read)


def _write_list(
    out: Output, request_id: str, items: list[FailedJob], most: int | None, *, has_unread: bool
) -> None:
    if len(items) > 1:
        _write_summary(out, items, has_unread=has_unread)
    out.table(_COLUMNS, _rows(items[:most]), "shiftwork job show ID")
    if not items:
        out.message(f"None has failed for good. See all attempts with: shiftwork jobs {request_id}")
        return
    if more := len(items) - len(items[:most]):
        count = f"at least {more:,}" if has_unread else f"{more:,}"
        out.message(f"There are {count} more: shiftwork failures {request_id} --all (or --csv)")
    out.message(f"See what one logged with: shiftwork job logs {items[0]['attempt_id']}")


def _write_summary(out: Output, items: list[FailedJob], *, has_unread: bool) -> None:
    """Write which types of errors there are: of how many jobs, and what the first of each says."""
    first: dict[str, FailedJob] = {}
    for failed in items:
        first.setdefault(_error_of(failed)[0], failed)
    counts = Counter(_error_of(failed)[0] for failed in items)
    out.table(
        _SUMMARY,
        [
            (type, f"{count:,}", first[type]["job"], _error_of(first[type])[1])
            for type, count in counts.most_common(_MOST_TYPES)
        ],
        "the list below",
    )
    if (others := len(counts) - _MOST_TYPES) > 0:
        out.message(f"There are {others:,} more types of errors.")
    if has_unread:
        out.message(f"This summary is of the first {len(items):,} failures; there are more.")
    out.line()


def _rows(items: Sequence[FailedJob]) -> list[tuple[object, ...]]:
    return [_row(failed) for failed in items]


def _state(failed: FailedJob) -> tuple[str, str]:
    return failed["attempt_id"], f"{failed['job']}: {': '.join(_error_of(failed))}"


def _row(failed: FailedJob) -> tuple[object, ...]:
    failed_at = failed["failed_at"]
    return (
        failed["attempt_id"],
        failed["job"],
        failed["tries"],
        failed_at and failed_at[:19].replace("T", " "),
        ": ".join(_error_of(failed)),
        failed["item"],
    )


def _error_of(failed: FailedJob) -> tuple[str, str]:
    error = failed["error"]
    return (error["type"], error["message"]) if error else ("Unknown", "")


# -- CSV -----------------------------------------------------------------------------------------


def _write_csv(failures: Iterable[FailedJob]) -> None:
    from csv import writer

    line = io.StringIO()
    rows = writer(line, lineterminator="\r\n")
    rows.writerow(_CSV_HEADER)
    for failed in failures:
        rows.writerow(_csv_row(failed))
        _write_bytes(line)
    _write_bytes(line)


def _write_bytes(line: io.StringIO) -> None:
    """Write what was gathered as it is: no platform may change how its lines end."""
    typer.echo(line.getvalue().encode(), nl=False)
    line.seek(0)
    line.truncate()


def _csv_row(failed: FailedJob) -> tuple[object, ...]:
    return (
        failed["attempt_id"],
        _as_text(failed["job"]),
        _as_text(failed["type"]),
        failed["step"],
        failed["attempt"],
        failed["tries"],
        failed["failed_at"],
        *map(_as_text, _error_of(failed)),
        # JSON begins as no formula does, but for a negative number, which is harmless.
        failed["item"] and _CONTROLS.sub(lambda c: f"\\u{ord(c[0]):04x}", failed["item"]),
    )


def _as_text(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; anybody may have written it."""
    shown = visible(cell)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
