"""`shiftwork plan-request`: show what a request would take, and which quotas it would meet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from shiftwork.cli import completing, connection
from shiftwork.cli.render.output import Format, Output, OutputOption, seconds
from shiftwork.cli.render.tables import Column, Shape

if TYPE_CHECKING:
    from shiftwork.api.shapes import Notice, RequestPlan

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
#: Who sets a step's batches going, by the API's words for it.
_WAYS = {
    "called": "called by AdvanceRequest",
    "map": "a Map",
    "wide": "a distributed Map",
    "wide_slow": "a distributed Map of Standard children",
    "workers": "workers",
}


def plan_request(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TYPE", help="A request type.", autocompletion=completing.request_types
        ),
    ],
    items: Annotated[
        int, typer.Option(min=0, max=10_000_000, help="How many items each for_each has.")
    ] = 1,
    duration: Annotated[
        str, typer.Option(metavar="TIME", help="How long a job lasts: 200ms, 2s, 5m.")
    ] = "0s",
    item_bytes: Annotated[
        int, typer.Option(min=0, max=1_048_576, help="The size of an item, as JSON.")
    ] = 100,
    result_bytes: Annotated[
        int, typer.Option(min=2, max=6_291_456, help="The size of a job's result, as JSON.")
    ] = 2,
    output: OutputOption = Format.TABLE,
) -> None:
    """Predict what a request takes, and which quotas it meets; submit nothing."""
    out = Output(output)
    duration_s = _seconds_of(duration)
    with connection.connect() as client:
        found = client.plan_request(
            name,
            items=items,
            duration_s=duration_s,
            item_bytes=item_bytes,
            result_bytes=result_bytes,
        )
    if out.is_json:
        out.json(found)
        return
    _write(out, found)
    for notice in found["notices"]:
        write_notice(out, notice)


def _seconds_of(text: str) -> float:
    """Return the seconds of a duration.

    Raises
    ------
    typer.BadParameter
        If it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        why = f"{text!r} is no duration; write one such as 200ms, 2s or 5m"
        raise typer.BadParameter(why, param_hint="--duration")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


def _write(out: Output, found: RequestPlan) -> None:
    """Write the steps, and below them what the request takes as a whole."""
    out.paragraph(
        f"{found['type']}, version {found['version']}: {found['jobs']:,} jobs in some "
        f"{seconds(found['seconds'])}, for {_usd(found['total_usd'])}, if none is retried."
    )
    out.line()
    _write_steps(out, found)
    out.line()
    out.fields(
        (
            ("write units", f"{found['write_units']:,.0f}"),
            (
                "busiest partition",
                f"{found['busiest_write_units']:,.0f} of {found['busiest_write_units_bound']:,} "
                "write units a second",
            ),
            ("read units", f"{found['read_units']:,.0f}"),
            ("state transitions", f"{found['transitions']:,}"),
            (
                "history events",
                f"{found['history_events']:,} of {found['history_events_bound']:,}",
            ),
            ("function calls", f"{found['invocations']:,}"),
            ("cost", _costs(found)),
        )
    )


def _write_steps(out: Output, found: RequestPlan) -> None:
    out.table(
        (
            Column("STEP"),
            Column("JOBS"),
            Column("ROWS"),
            Column("BATCHES", 8),
            Column("AT ONCE", 7),
            Column("WRITE UNITS", 6),
            Column("TRANSITIONS", 6),
            Column("TIME", 9),
            Column("SET GOING BY", 5, Shape.WRAPPED),
        ),
        [
            (
                step["name"],
                f"{step['jobs']:,}",
                f"{step['rows']:,}",
                f"{step['batches']:,}",
                f"{step['at_once']:,}",
                f"{step['write_units']:,.0f}",
                f"{step['transitions']:,}",
                seconds(step["seconds"]),
                _WAYS[step["way"]],
            )
            for step in found["steps"]
        ],
    )


def _costs(found: RequestPlan) -> str:
    """Return the cost, and what most of it is for."""
    parts = sorted(found["usd"].items(), key=lambda part: -part[1])[:3]
    named = ", ".join(f"{kind.replace('_', ' ')} {_usd(usd)}" for kind, usd in parts)
    return f"{_usd(found['total_usd'])}: {named}"


def _usd(usd: float) -> str:
    """Return dollars with two digits that say something."""
    if usd >= 1:
        return f"${usd:,.2f}"
    return f"${usd:.4f}" if usd >= 0.001 else f"${usd:.6f}"


def write_notice(out: Output, notice: Notice) -> None:
    """Write a quota that is exceeded, and what to change."""
    where = f"step {notice['step']}" + (f", {notice['job']}" if notice["job"] else "")
    level = "Refused" if notice["level"] == "refusal" else "Warning"
    out.message(f"{level}: {where}: {notice['message']}.")
    out.message(f"  {notice['change'][:1].upper()}{notice['change'][1:]}.")
