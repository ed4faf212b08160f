"""Find the id that `last`, a prefix or `last/send[3]` means on a command line.

It reads only the API's lists, and of them only the first pages. A whole id costs no call. A command
that changes something takes no guess: the whole name of a worker or workspace, and of a generated
id at least `_LEAST_TO_CHANGE` characters. Imports that are slow wait until they are needed, so that
a help text does not wait for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.shapes import Attempt

T = TypeVar("T")

LAST = "last"
#: How many of the newest requests or lifecycle jobs, or of the workers or workspaces by name, a
#: prefix is looked for in.
_MAX_READ = 500
#: How many of a request's attempts a job is looked for in.
_MAX_ATTEMPTS = 1000
#: So many characters of a generated id name a thing to change: nobody types them by accident.
_LEAST_TO_CHANGE = 8
_MAX_CANDIDATES = 5
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: An attempt's id: that of its request, then step, job and attempt.
_ATTEMPT_ID = r"(.+)\.(\d+)\.\d+\.\d+"


# -- requests and lifecycle jobs -----------------------------------------------------------------


def request_id(client: ShiftworkClient, text: str, *, to_change: bool = False) -> str:
    """Return a request's id; `to_change` says that the command changes the request.

    Raises
    ------
    NotFound
        If there is no such request.
    Ambiguous
        If several requests begin with the text, or it is too short to tell.
    """
    from shiftwork.api.errors import NotFound

    _refuse_empty(text)
    if text == LAST:
        page = client.list(limit=1)
        if not page["items"]:
            see = "Submit one with: shiftwork submit TYPE (or: shiftwork demo)"
            raise NotFound(404, "There are no requests yet.", see)
        return page["items"][0]["request_id"]
    told = ((r["request_id"], f"{r['type']}  {r['status']}") for r in client.list_all())
    return _generated_id(text, told, to_change, "requests")


def lifecycle_job_id(client: ShiftworkClient, text: str, *, to_change: bool = False) -> str:
    """Return a lifecycle job's id; `to_change` and what it raises are as for `request_id`."""
    from shiftwork.api.errors import NotFound

    _refuse_empty(text)
    if text == LAST:
        newest = next(client.lifecycle_jobs(), None)
        if newest is None:
            see = "See the workspaces with: shiftwork workspaces"
            raise NotFound(404, "There are no lifecycle jobs yet.", see)
        return newest["id"]
    jobs = client.lifecycle_jobs()
    told = ((j["id"], f"{j['operation']} {j['workspace_id']}  {j['state']}") for j in jobs)
    return _generated_id(text, told, to_change, "lifecycle jobs")


def _generated_id(text: str, newest: Iterable[tuple[str, str]], to_change: bool, kind: str) -> str:
    """Return the text if it is a whole id, else the only one of the newest that begins with it."""
    from shiftwork.api.errors import NotFound

    if re.fullmatch(_UUID, text):
        return text
    found = _only(text, islice(newest, _MAX_READ))
    _refuse_short(text, found, to_change)
    if found is None:
        message = f"None of the newest {_MAX_READ} {kind} begins with {text!r}."
        raise NotFound(404, message, f"List them: shiftwork {kind.replace(' ', '-')}")
    return found


# -- attempts ------------------------------------------------------------------------------------


def attempt_id(client: ShiftworkClient, text: str) -> str:
    """Return an attempt's id.

    The text is an id, the beginning of one, or `REQUEST/JOB`, such as `last/send[3]`: the job's
    newest attempt. It raises what `request_id` does.
    """
    whole = None if "/" in text else re.fullmatch(_ATTEMPT_ID, text)
    if whole:
        return request_id(client, whole[1]) + text[whole.end(1) :]
    return find_attempt(client, text)["attempt_id"]


def find_attempt(client: ShiftworkClient, text: str) -> Attempt:
    """Return the attempt that a text stands for, as `attempt_id` reads it."""
    if "/" in text:
        request, _, job = text.partition("/")
        _refuse_empty(job)
        return _newest_attempt(client, request_id(client, request), job)
    request, dot, place = text.partition(".")
    found = request_id(client, request)
    whole = re.fullmatch(_ATTEMPT_ID, found + dot + place)
    step = int(whole[2]) if whole else None
    attempts = {a["attempt_id"]: a for a in islice(client.jobs(found, step=step), _MAX_ATTEMPTS)}
    told = ((id, f"{a['job']}  {a['status']}") for id, a in attempts.items())
    chosen = _only(found + dot + place, told)
    if chosen is None:
        _refuse_missing(found, text, len(attempts))
    return attempts[chosen]


def _newest_attempt(client: ShiftworkClient, request: str, job: str) -> Attempt:
    """Return the newest attempt of the job: of the latest step that has a job of this name."""
    beginning: dict[str, Attempt] = {}
    left = _MAX_ATTEMPTS
    for step in range(client.get(request)["current_step"], 0, -1):
        attempts = list(islice(client.jobs(request, step=step), left + 1))
        # In order of job and attempt, so that the newest of each job remains; but of the last job
        # of a list that is cut short, newer attempts may follow.
        newest = {a["job"]: a for a in attempts}
        is_cut = len(attempts) > left
        if is_cut:
            del newest[attempts[-1]["job"]]
        if job in newest:
            return newest[job]
        if is_cut:
            _refuse_missing(request, job, _MAX_ATTEMPTS)
        left -= len(attempts)
        beginning = {name: a for name, a in newest.items() if name.startswith(job)} | beginning
    if not beginning:
        _refuse_missing(request, job, _MAX_ATTEMPTS - left)
    if len(beginning) > 1:
        told = [(a["attempt_id"], f"{name}  {a['status']}") for name, a in beginning.items()]
        _refuse_several(job, told)
    return next(iter(beginning.values()))


def _refuse_missing(request: str, text: str, count: int) -> NoReturn:
    from shiftwork.api.errors import NotFound

    if count == 0:
        message = f"Request {request} has no attempt yet."
    elif count >= _MAX_ATTEMPTS:
        message = f"{text!r} is not among the first {count} attempts of {request}."
    else:
        message = f"{text!r} is none of the {count} attempts of {request}."
    raise NotFound(404, message, f"List them, with their ids: shiftwork jobs {request}")


# -- workers and workspaces ----------------------------------------------------------------------


def on_worker(
    client: ShiftworkClient, text: str, act: Callable[[str], T], *, to_change: bool = False
) -> tuple[str, T]:
    """Call `act` with a worker's id, and return the id and the answer.

    `to_change`: only with the worker of exactly this name. People choose these names, so one that
    is gone may be the beginning of another.

    Raises
    ------
    NotFound
        If there is no worker of this name, nor one that begins with it.
    Ambiguous
        If several begin with it.
    """

    def present() -> Iterable[tuple[str, str]]:
        return ((w["worker_id"], w["status"]) for w in islice(client.workers(), _MAX_READ))

    return _on_named(text, act, present, to_change)


def on_workspace(
    client: ShiftworkClient, text: str, act: Callable[[str], T], *, to_change: bool = False
) -> tuple[str, T]:
    """Call `act` with a workspace's name, as `on_worker` does with a worker's id."""

    def present() -> Iterable[tuple[str, str]]:
        return ((w["workspace_id"], w["state"]) for w in islice(client.workspaces(), _MAX_READ))

    return _on_named(text, act, present, to_change)


def _on_named(
    text: str,
    act: Callable[[str], T],
    present: Callable[[], Iterable[tuple[str, str]]],
    to_change: bool,
) -> tuple[str, T]:
    """Act on the thing of exactly this name; to read, else on the one that begins with it."""
    from shiftwork.api.errors import NotFound

    _refuse_empty(text)
    try:
        return text, act(text)
    except NotFound as error:
        if to_change:
            near = [name for name, _ in present() if name.startswith(text)][:_MAX_CANDIDATES]
            if not near:
                raise
            see = f"Type the whole name of what to change, such as {' or '.join(near)}"
            raise NotFound(404, str(error), see) from error
        found = _only(text, present())
        if found is None:
            raise
    typer.echo(f"{text!r} is read as {found}: no other name begins with it.", err=True)
    return found, act(found)


# -- choosing ------------------------------------------------------------------------------------


def _only(text: str, present: Iterable[tuple[str, str]]) -> str | None:
    """Return the id that equals the text, else the only one that begins with it, else None.

    `present` are ids, each with a description for people.

    Raises
    ------
    Ambiguous
        If several begin with it.
    """
    found = [(id, what) for id, what in present if id.startswith(text)]
    if any(id == text for id, _ in found):
        return text
    if len(found) > 1:
        _refuse_several(text, found)
    return found[0][0] if found else None


def _refuse_empty(text: str) -> None:
    """Refuse an empty text: every id begins with it."""
    from shiftwork.cli.exit_codes import Ambiguous

    if not text.strip():
        raise Ambiguous("The id is empty.", "Type an id, its beginning, or: last")


def _refuse_short(text: str, found: str | None, to_change: bool) -> None:
    """Refuse to change a thing by a beginning of its id that may have been typed by accident."""
    from shiftwork.cli.exit_codes import Ambiguous

    if to_change and found not in (None, text) and len(text) < _LEAST_TO_CHANGE:
        message = f"{text!r} is too short to name what to change."
        raise Ambiguous(message, f"Type at least {_LEAST_TO_CHANGE} characters of {found}")


def _refuse_several(text: str, found: list[tuple[str, str]]) -> NoReturn:
    from shiftwork.cli.exit_codes import Ambiguous

    lines = [f"{text!r} could be any of {len(found)}:"]
    lines += [f"  {id}  {what}" for id, what in found[:_MAX_CANDIDATES]]
    if len(found) > _MAX_CANDIDATES:
        lines.append(f"  … and {len(found) - _MAX_CANDIDATES} more")
    raise Ambiguous("\n".join(lines), "Type more of its beginning")
