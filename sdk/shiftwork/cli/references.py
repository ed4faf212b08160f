"""Find the id that `last`, a prefix or `last/send[3]` means on a command line.

It reads only the API's lists, and of them only the newest pages. A whole id costs no call. Imports
that are slow wait until they are needed, so that a help text does not wait for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.shapes import Attempt

T = TypeVar("T")

LAST = "last"
#: How many of the newest requests, lifecycle jobs, workers or workspaces a prefix is looked for in.
_MAX_READ = 500
#: How many of a request's attempts a job is looked for in.
_MAX_ATTEMPTS = 1000
_MAX_CANDIDATES = 5
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: An attempt's id: that of its request, then step, job and attempt.
_ATTEMPT_ID = re.compile(r"(.+)\.(\d+)\.\d+\.\d+")


# -- requests and lifecycle jobs -----------------------------------------------------------------


def request_id(client: ShiftworkClient, text: str) -> str:
    """Return a request's id.

    Raises
    ------
    NotFound
        If there is no such request.
    Ambiguous
        If several requests begin with the text.
    """
    from shiftwork.api.errors import NotFound

    if text == LAST:
        page = client.list(limit=1)
        if not page["items"]:
            see = "Submit one with: shiftwork submit TYPE (or: shiftwork demo)"
            raise NotFound(404, "There are no requests yet.", see)
        return page["items"][0]["request_id"]
    if _UUID.fullmatch(text):
        return text
    newest = islice(client.list_all(), _MAX_READ)
    found = _only(text, ((r["request_id"], f"{r['type']}  {r['status']}") for r in newest))
    if found is None:
        message = f"None of the newest {_MAX_READ} requests begins with {text!r}."
        raise NotFound(404, message, "List them: shiftwork requests")
    return found


def lifecycle_job_id(client: ShiftworkClient, text: str) -> str:
    """Return a lifecycle job's id; it raises what `request_id` does."""
    from shiftwork.api.errors import NotFound

    if text == LAST:
        newest = next(client.lifecycle_jobs(), None)
        if newest is None:
            see = "See the workspaces with: shiftwork workspaces"
            raise NotFound(404, "There are no lifecycle jobs yet.", see)
        return newest["id"]
    if _UUID.fullmatch(text):
        return text
    jobs = islice(client.lifecycle_jobs(), _MAX_READ)
    told = ((j["id"], f"{j['operation']} {j['workspace_id']}  {j['state']}") for j in jobs)
    found = _only(text, told)
    if found is None:
        message = f"None of the newest {_MAX_READ} lifecycle jobs begins with {text!r}."
        raise NotFound(404, message, "List them: shiftwork lifecycle-jobs")
    return found


# -- attempts ------------------------------------------------------------------------------------


def attempt_id(client: ShiftworkClient, text: str) -> str:
    """Return an attempt's id.

    The text is an id, the beginning of one, or `REQUEST/JOB`, such as `last/send[3]`: the job's
    newest attempt. It raises what `request_id` does.
    """
    if whole := _ATTEMPT_ID.fullmatch(text):
        return request_id(client, whole[1]) + text[whole.end(1) :]
    return find_attempt(client, text)["attempt_id"]


def find_attempt(client: ShiftworkClient, text: str) -> Attempt:
    """Return the attempt that a text stands for, as `attempt_id` reads it."""
    if "/" in text:
        request, _, job = text.partition("/")
        return _newest_attempt(client, request_id(client, request), job)
    request, dot, place = text.partition(".")
    found = request_id(client, request)
    whole = _ATTEMPT_ID.fullmatch(found + dot + place)
    step = int(whole[2]) if whole else None
    attempts = {a["attempt_id"]: a for a in islice(client.jobs(found, step=step), _MAX_ATTEMPTS)}
    told = ((id, f"{a['job']}  {a['status']}") for id, a in attempts.items())
    chosen = _only(found + dot + place, told)
    if chosen is None:
        _refuse_missing(found, text, len(attempts))
    return attempts[chosen]


def _newest_attempt(client: ShiftworkClient, request: str, job: str) -> Attempt:
    attempts = list(islice(client.jobs(request), _MAX_ATTEMPTS))
    # In order of step, job and attempt, so that the newest of each job remains.
    newest = {(a["step"], a["job"]): a for a in attempts}
    named = [a for a in newest.values() if a["job"] == job]
    beginning = named or [a for a in newest.values() if a["job"].startswith(job)]
    if not beginning:
        _refuse_missing(request, job, len(attempts))
    if len(beginning) > 1:
        _refuse_several(job, [(a["attempt_id"], f"{a['job']}  {a['status']}") for a in beginning])
    return beginning[0]


def _refuse_missing(request: str, text: str, count: int) -> NoReturn:
    from shiftwork.api.errors import NotFound

    among = f"the first {count}" if count == _MAX_ATTEMPTS else f"the {count}"
    message = f"{text!r} is none of {among} attempts of {request}."
    raise NotFound(404, message, f"List them: shiftwork jobs {request} --step N")


# -- workers and workspaces ----------------------------------------------------------------------


def on_worker(client: ShiftworkClient, text: str, act: Callable[[str], T]) -> tuple[str, T]:
    """Call `act` with a worker's id, and return the id and the answer.

    Raises
    ------
    NotFound
        If there is no worker of this name, nor one that begins with it.
    Ambiguous
        If several begin with it.
    """

    def present() -> Iterable[tuple[str, str]]:
        return ((w["worker_id"], w["status"]) for w in islice(client.workers(), _MAX_READ))

    return _on_named(text, act, present)


def on_workspace(client: ShiftworkClient, text: str, act: Callable[[str], T]) -> tuple[str, T]:
    """Call `act` with a workspace's name, as `on_worker` does with a worker's id."""

    def present() -> Iterable[tuple[str, str]]:
        return ((w["workspace_id"], w["state"]) for w in islice(client.workspaces(), _MAX_READ))

    return _on_named(text, act, present)


def _on_named(
    text: str, act: Callable[[str], T], present: Callable[[], Iterable[tuple[str, str]]]
) -> tuple[str, T]:
    """Act on the thing of exactly this name; if there is none, on the one that begins with it."""
    from shiftwork.api.errors import NotFound

    try:
        return text, act(text)
    except NotFound:
        found = _only(text, present())
        if found is None:
            raise
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


def _refuse_several(text: str, found: list[tuple[str, str]]) -> NoReturn:
    from shiftwork.cli.exit_codes import Ambiguous

    lines = [f"{text!r} could be any of {len(found)}:"]
    lines += [f"  {id}  {what}" for id, what in found[:_MAX_CANDIDATES]]
    if len(found) > _MAX_CANDIDATES:
        lines.append(f"  … and {len(found) - _MAX_CANDIDATES} more")
    raise Ambiguous("\n".join(lines), "Type more of its beginning")
