"""Show a request while it runs: a tree of its steps and jobs on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from shiftwork.cli.render.controls import one_line
from shiftwork.cli.render.output import Output, duration, parse_time, seconds
from shiftwork.cli.render.tables import STYLES, Column, Shape, Table
from shiftwork.cli.snapshots import Snapshot, follow

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text
    from rich.tree import Tree

    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.shapes import Attempt, AttemptError, JobCounts, Request, RequestError, Step

_FRAMES_PER_SECOND = 8
_BAR_WIDTH = 24
#: Jobs shown under a step that runs or has failed, and under one that has completed.
_MAX_JOBS = 8
_MAX_SETTLED_JOBS = 3
#: Steps shown before and after the current one.
_STEPS_AROUND = 6
_MAX_LABEL_CHARACTERS = 48
_MIN_LABEL_CHARACTERS = 16
#: How much of a line the tree's guides take, and a job's status and times.
_STEP_INDENT = 4
_BESIDE_LABEL = 36
#: The parts of a step's line, in order.
_PARTS = (
    Column("", shape=Shape.CUT, least=12),
    Column("", 5),
    Column("", 9),
    Column("", 8),
    Column("", 7, Shape.CUT, least=20),
    Column("", 6),
)
_BAR = 1
#: The keys of an item that may name it, the most telling first.
_NAMING_KEYS = ("name", "id", "key", "path", "url")
#: Retries and failures printed for one change of a step, where there is no terminal.
_MAX_PLAIN_LINES = 5
#: A reason has up to 4 KB.
_MAX_REASON = 300


def watch(client: ShiftworkClient, request_id: str, output: Output) -> Request:
    """Show the request until it ends, and return it in its last state.

    Raises
    ------
    typer.Exit
        On Ctrl-C, after a message on how to watch again; the request goes on.
    """
    snapshots = follow(client, request_id, time.sleep)
    console = output.progress
    try:
        if console.is_terminal and not console.is_dumb_terminal:
            return _watch_tree(snapshots, console)
        return _watch_lines(snapshots, output.progress_line)
    except KeyboardInterrupt:
        from shiftwork.cli.exit_codes import Exit

        output.message(
            f"\nThe request goes on. Watch it again with: shiftwork watch {request_id}\n"
            f"Stop it with: shiftwork cancel {request_id}"
        )
        raise typer.Exit(Exit.INTERRUPTED) from None


def _watch_tree(snapshots: Iterator[Snapshot], console: Console) -> Request:
    from rich.live import Live

    view = TreeView(next(snapshots))
    with Live(view, console=console, refresh_per_second=_FRAMES_PER_SECOND):
        for snapshot in snapshots:
            view.snapshot = snapshot
    return view.snapshot.request


def _watch_lines(snapshots: Iterator[Snapshot], write: Callable[[str], None]) -> Request:
    last = None
    for snapshot in snapshots:
        if snapshot.is_partial:
            continue
        for line in changes(last, snapshot):
            write(line)
        last = snapshot
    assert last is not None
    return last.request


# -- what both show ------------------------------------------------------------------------------


def label_of(attempt: Attempt, limit: int | None = _MAX_LABEL_CHARACTERS) -> str:
    """Return the job's name and what its item is called; a long one is cut at its beginning."""
    job, item = one_line(attempt["job"]), attempt["item"]
    if isinstance(item, dict):
        item = next((item[k] for k in _NAMING_KEYS if k in item), None)
    if not isinstance(item, (str, int, float)):
        return job
    text = f"{job} {one_line(str(item))}"
    if limit is None or len(text) <= limit:
        return text
    room = limit - len(job) - 2
    return f"{job} …{text[-room:]}" if room > 0 else job


def _reason(attempt: Attempt) -> str:
    return _told(attempt["error"]) if attempt["error"] else ""


def _short(reason: str) -> str:
    """Return a reason as a line of progress has room for; `shiftwork jobs` shows the whole."""
    return reason if len(reason) <= _MAX_REASON else f"{reason[: _MAX_REASON - 1]}…"


def _told(error: AttemptError | RequestError) -> str:
    return one_line(f"{error['type']}: {error['message']}")


# -- the tree ------------------------------------------------------------------------------------


class TreeView:
    """The tree of the latest snapshot; its times keep running between two snapshots."""

    def __init__(self, snapshot: Snapshot, clock: Callable[[], datetime] | None = None) -> None:
        self.snapshot = snapshot
        self._clock = clock or (lambda: datetime.now(UTC))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it as wide as the console is."""
        yield self._tree(options.max_width)

    def _tree(self, width: int) -> Tree:
        from rich.text import Text
        from rich.tree import Tree

        now = self._clock()
        request = self.snapshot.request
        tree = Tree(_title(request, now, width), guide_style="dim")
        steps = request["steps"]
        rows = [_step_parts(step, request, now) for step in steps]
        widths = Table(_PARTS, rows).layout(width - _STEP_INDENT).widths
        for step, parts in zip(steps, rows, strict=True):
            distance = step["index"] - max(request["current_step"], 1)
            if abs(distance) == _STEPS_AROUND:
                hidden = step["index"] if distance < 0 else len(steps) - step["index"] + 1
                tree.add(Text(f"… and {hidden} more steps", "dim"))
            if abs(distance) >= _STEPS_AROUND:
                continue
            attempts = self.snapshot.attempts.get(step["index"], [])
            branch = tree.add(_step_row(step, parts, widths))
            for line in _job_rows(step, attempts, width, now):
                branch.add(line)
        if request["error"]:
            tree.add(Text(_told(request["error"]), "red"))
        return tree


def _title(request: Request, now: datetime, width: int) -> Text:
    """Return type, id, status and time, on two lines if they do not fit on one."""
    from rich.text import Text

    kind = Text(one_line(request["type"]), "bold")
    state = Text.assemble(
        (request["status"], STYLES.get(request["status"].lower(), "")),
        (f"  {_elapsed(request, now)}", "dim"),
    )
    line = Text("  ").join([kind, Text(request["request_id"]), state])
    if line.cell_len <= width:
        return line
    kind.truncate(max(width - state.cell_len - 2, _MIN_LABEL_CHARACTERS), overflow="ellipsis")
    return Text.assemble(kind, "  ", state, "\n", request["request_id"])


def _step_parts(step: Step, request: Request, now: datetime) -> tuple[str, ...]:
    counts, total = step["jobs"], step["job_count"]
    return (
        one_line(f"{step['index']} {step['name']}"),
        "-" * _BAR_WIDTH,
        f"{counts['completed']}/{total}" if total else "planning" * _is_planned_now(step),
        step["status"],
        _extra_counts(counts),
        _step_time(step, request, now),
    )


def _step_row(step: Step, parts: Sequence[str], widths: Mapping[int, int]) -> RenderableType:
    """Return the step's line, with the parts that have a width."""
    from rich.table import Table as Grid
    from rich.text import Text

    style = STYLES.get(step["status"], "")
    styles = ["" if step["job_count"] else "dim", "", "", style, "yellow", "dim"]
    row = Grid.grid(padding=(0, 2, 0, 0))
    cells: list[RenderableType] = []
    for number, width in widths.items():
        row.add_column(width=width, no_wrap=True, overflow="ellipsis")
        is_bar = number == _BAR
        cells.append(_bar(step, style) if is_bar else Text(parts[number], styles[number]))
    row.add_row(*cells)
    return row


def _is_planned_now(step: Step) -> bool:
    """Whether its jobs are being made, so that nobody knows yet how many they are."""
    return step["status"] == "running" and step["job_count"] == 0


def _bar(step: Step, style: str) -> RenderableType:
    from rich.progress_bar import ProgressBar

    return ProgressBar(
        total=max(step["job_count"], 1),
        pulse=_is_planned_now(step),
        completed=step["jobs"]["completed"],
        width=_BAR_WIDTH,
        complete_style=style or "cyan",
        finished_style="green",
    )


def _extra_counts(counts: JobCounts) -> str:
    named = {
        "at work": counts["inprogress"],
        "retried": counts["retry"],
        "failed": counts["failure"],
        "cancelled": counts["cancelled"],
    }
    return ", ".join(f"{count} {name}" for name, count in named.items() if count)


def _job_rows(step: Step, attempts: list[Attempt], width: int, now: datetime) -> list[Text]:
    """Return lines of the jobs that people look for first, and of how many more there are."""
    from rich.text import Text

    if step["status"] == "pending":
        return []
    latest = {attempt["job"]: attempt for attempt in attempts}
    before = {a["job"]: a for a in attempts if a["status"] == "retry"}
    jobs = sorted(latest.values(), key=_urgency)
    if step["status"] == "completed":
        retried = (job for job in jobs if job["attempt"] > 1 or job["status"] == "retry")
        shown = list(retried)[:_MAX_SETTLED_JOBS]
    else:
        shown = jobs[:_MAX_JOBS]
    limit = min(max(width - _BESIDE_LABEL, _MIN_LABEL_CHARACTERS), _MAX_LABEL_CHARACTERS)
    rows = [_job_row(job, before.get(job["job"]), limit, now) for job in shown]
    more = step["job_count"] - len(shown)
    if more > 0 and (shown or step["status"] != "completed"):
        rows.append(Text(f"… and {more} more", "dim"))
    return rows


def _urgency(attempt: Attempt) -> tuple[int, int]:
    """Order failed jobs first, then retried, running, waiting and completed ones."""
    is_open = attempt["status"] in ("new", "inprogress", "retry")
    if attempt["status"] == "failure":
        rank = 0
    elif (is_open and attempt["attempt"] > 1) or attempt["status"] == "retry":
        rank = 1
    else:
        rank = {"inprogress": 2, "new": 3, "completed": 4}.get(attempt["status"], 5)
    return rank, -attempt["attempt"]


def _job_row(attempt: Attempt, before: Attempt | None, limit: int, now: datetime) -> Text:
    from rich.text import Text

    status = attempt["status"]
    row = Text(no_wrap=True, overflow="ellipsis")
    row.append(label_of(attempt, limit))
    row.append(f"  {status}", STYLES.get(status, ""))
    if attempt["attempt"] > 1:
        row.append(f"  attempt {attempt['attempt']}", "yellow")
    if status == "new" and attempt["wake_at"]:
        wait_s = (parse_time(attempt["wake_at"]) - now).total_seconds()
        row.append(f"  in {seconds(wait_s)}", "dim")
    elif status != "new":
        row.append(f"  {duration(attempt['started_at'], attempt['completed_at'], now)}", "dim")
    if reason := _reason(attempt):
        row.append(f"  {reason}", "red" if status == "failure" else "yellow")
    elif before and before is not attempt:
        row.append(f"  after {_reason(before)}", "yellow")
    return row


# -- plain lines ---------------------------------------------------------------------------------


def changes(before: Snapshot | None, after: Snapshot) -> list[str]:
    """Return a line for each change between two snapshots."""
    now, request = after.asked_at, after.request
    lines = []
    old_steps = {step["index"]: step for step in before.request["steps"]} if before else {}
    if before is None:
        lines.append(f"request {request['request_id']} ({request['type']}): {request['status']}")
    for step in request["steps"]:
        old = old_steps.get(step["index"])
        if any(step["jobs"].values()) and step != old:
            lines += _attempt_lines(before, after, step["index"])
            lines.append(_step_line(step, request, now))
    if before is not None and before.request["status"] != request["status"]:
        line = f"request {request['request_id']}: {request['status']}"
        lines.append(line if not after.has_ended else f"{line} in {_elapsed(request, now)}")
    if request["error"] and (before is None or not before.request["error"]):
        lines.append(f"error: {_told(request['error'])}")
    return [f"{_elapsed(request, now):>8}  {one_line(line)}" for line in lines]


def _elapsed(request: Request, now: datetime) -> str:
    """Return how long it has taken, since its retry if somebody has retried it."""
    return duration(request["retried_at"] or request["created_at"], request["completed_at"], now)


def _step_time(step: Step, request: Request, now: datetime) -> str:
    """Return how long the step has taken; of one that a retry runs again, since then."""
    started_at, retried_at = step["started_at"], request["retried_at"]
    ends = parse_time(step["completed_at"]) if step["completed_at"] else now
    if started_at and retried_at and parse_time(started_at) < parse_time(retried_at) < ends:
        started_at = retried_at
    return duration(started_at, step["completed_at"], now)


def _step_line(step: Step, request: Request, now: datetime) -> str:
    counts = step["jobs"]
    line = f"step {step['index']}/{len(request['steps'])} {step['name']}: {step['status']}, "
    line += f"{counts['completed']}/{step['job_count']} jobs"
    if extra := _extra_counts(counts):
        line += f", {extra}"
    if step["completed_at"]:
        line += f" in {_step_time(step, request, now)}"
    return line


def _attempt_lines(before: Snapshot | None, after: Snapshot, index: int) -> list[str]:
    """Return a line for each new retry or failure of the step."""
    known = {
        attempt["attempt_id"]: attempt["status"]
        for attempt in (before.attempts.get(index, []) if before else [])
    }
    telling = {"retry", "failure"}
    if before is None and not after.has_ended:
        telling = {"retry"}  # Its failures are past: a user's retry has granted further attempts.
    news = [
        attempt
        for attempt in after.attempts.get(index, [])
        if attempt["status"] in telling and known.get(attempt["attempt_id"]) != attempt["status"]
    ]
    lines = [
        f"job {label_of(a)}: attempt {a['attempt']} {a['status']} ({_short(_reason(a))})"
        for a in news[:_MAX_PLAIN_LINES]
    ]
    if len(news) > _MAX_PLAIN_LINES:
        lines.append(f"… and {len(news) - _MAX_PLAIN_LINES} more retries and failures")
    return lines
