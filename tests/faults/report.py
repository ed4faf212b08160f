"""Keep the results as data, and print them as tables."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tests.faults.kills import Killed
from tests.faults.runs import Row

MIN_GOODPUT = 0.7
MAX_WRITES = 1.5

JsonObject = dict[str, Any]


def about_this_run(**settings: int) -> JsonObject:
    """Return when, where and with what settings something was measured."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{os.cpu_count()} processors, {platform.machine()}, {platform.system()}, "
        f"{platform.python_implementation()} {platform.python_version()}",
        # Load of the last 15 minutes: other work on the machine makes the figures scatter.
        "load": round(os.getloadavg()[2], 1),
        **settings,
    }


def row_to_json(row: Row) -> JsonObject:
    """Return a mix's results as data."""
    return asdict(row) | {"goodput": row.goodput}


def killed_to_json(killed: Killed) -> JsonObject:
    """Return the results of a function's kills as data."""
    verdict = asdict(killed.verdict)
    return {
        "function": killed.function,
        "calls": killed.calls,
        "kills": killed.kills,
        **verdict,
        "longest_s": max(killed.seconds),
    }


_BEGIN, _END = "<!-- faults: written by `make faults` -->\n", "<!-- end of faults -->\n"


def put_into(page: str, results: JsonObject) -> str:
    """Return the page with the results between its two markers."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{to_markdown(results)}\n{_END}{after}"


def to_markdown(results: JsonObject) -> str:
    """Return the results as sections of docs/guarantees.md."""
    parts = []
    if runs := results.get("runs"):
        parts.append(_runs(runs))
    if kills := results.get("kills"):
        parts.append(_kills(kills))
    return "\n".join(parts)


def _runs(runs: JsonObject) -> str:
    head = f"""### Calls that go wrong

`make faults`, {runs["measured_at"]}; {runs["machine"]}, with a load of
{runs["load"]:g}; a local stack with a lease of 5 s and sweeps every second. Every AWS call of every
function (the authorizer aside) is dropped, throttled, or carried out and its reply lost, at random,
and so is each retry. {runs["requests"]} requests at once, of twelve empty jobs in three steps, two
of which ask for a retry. Every eighth request has a job that fails without a retry: the request
must end as failed, and how many of its other jobs complete before that is left open.

Goodput is the jobs completed in a second, from the first submission to the end of the last request,
as a ratio of the same in the runs without faults right before and after it; the median where there
are several runs. Writes are the rows that write calls carried to DynamoDB, counted where they are
sent, as a ratio of the same runs. Aim: with 30 % throttled and 5 % of the replies lost, a goodput
of at least {MIN_GOODPUT:g} and at most {MAX_WRITES:g} times the writes.
"""
    rows = [
        [
            row["name"],
            f"{row['ended']} / {row['requests']}",
            str(row["jobs"]),
            str(row["doubled"]),
            str(len(row["faults"])),
            _shares(row["fates"]),
            _goodputs(row["goodputs"], row["goodput"]),
            f"{row['writes']:.2f}",
        ]
        for row in runs["rows"]
    ]
    columns = (
        "faults",
        "requests ended as they should",
        "jobs completed",
        "with more than one outcome",
        "anything else wrong",
        "calls that went wrong",
        "goodput",
        "writes",
    )
    return f"{head}\n{_table(columns, rows)}"


def _kills(kills: JsonObject) -> str:
    head = f"""### Processes that die

`make faults`, {kills["measured_at"]}; as above, with a load of {kills["load"]:g}. A small request
(two jobs side by side, one of which asks for a retry, then one) is run once for each AWS call that
a function makes for it, and the function's process is killed with SIGKILL right before the call,
and in another run right after the service has carried it out. Two more calls than were counted are
included, as runs differ; a call that is not reached kills no process. For Sweep there are two
requests: one that has no execution, and one whose execution is gone.
"""
    rows = [
        [
            row["function"],
            str(row["calls"]),
            str(row["kills"]),
            f"{row['ended']} / {row['requests']}",
            str(row["doubled"]),
            str(len(row["faults"])),
            f"{row['longest_s']:.0f} s",
        ]
        for row in kills["rows"]
    ]
    columns = (
        "function",
        "calls",
        "processes killed",
        "requests completed",
        "jobs with more than one outcome",
        "anything else wrong",
        "longest until all had ended",
    )
    return f"{head}\n{_table(columns, rows)}"


def _shares(fates: JsonObject) -> str:
    """Return how many calls were made, and the share of each fault."""
    random_kills = fates.get("killed-anywhere", 0)
    calls = sum(fates.values()) - random_kills
    shares = [
        f"{count / calls:.1%} {fate}"
        for fate, count in sorted(fates.items())
        if fate not in ("sent", "killed-anywhere")
    ]
    if random_kills:
        shares.append(f"{random_kills} processes killed")
    return f"of {calls:,}: {', '.join(shares)}"


def _goodputs(goodputs: list[float], median: float) -> str:
    if len(goodputs) == 1:
        return f"{median:.2f}"
    return f"**{median:.2f}** ({', '.join(f'{g:.2f}' for g in goodputs)})"


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [list(columns), ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
