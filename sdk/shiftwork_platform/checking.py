"""Check definitions as the API would, without sending them anywhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from types import SimpleNamespace
from typing import Any

from shiftwork.api.errors import Fault
from shiftwork.definition_files import Definition
from shiftwork_core.domain.json_bounds import path_to
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.services.requests.definitions import refuse_blocks
from shiftwork_platform.functions import FunctionCode

#: The modules of the API's code that have the models, and the models.
_MODELS = {
    "job-type": ("v1.definitions.inputs", "JobTypeInput"),
    "request-type": ("v1.definitions.request_types", "RequestTypeInput"),
}


def faults_of(
    definitions: Sequence[Definition],
    services: Collection[str] | None = None,
    *,
    is_whole: bool = False,
) -> list[Fault]:
    """Return what is wrong with definitions, each with its file, line and column.

    Workspaces are left out.

    Parameters
    ----------
    services:
        The names of services that HTTP job types may call; None if they are not known here.
    is_whole:
        Whether there are no job types but these.
    """
    known = {one.name: one.body for one in definitions if one.kind == "job-type"}
    faults: list[Fault] = []
    for definition in definitions:
        found = list(_own_faults(definition, None if services is None else frozenset(services)))
        if definition.kind == "request-type" and not found:
            unknown = _unknown_types(definition.body, known) if is_whole else ()
            found = [*unknown, *_blocks(definition.body, known)]
        faults += [
            Fault(f"{definition.place_of(one.path)}: {one.path}", one.message) for one in found
        ]
    return faults


def doubts_about(definitions: Iterable[Definition]) -> list[Fault]:
    """Return what seems misspelt in definitions without faults, each with its file and line."""
    from shiftwork_core.adapters.expressions import parse
    from shiftwork_core.domain.requests.impossible_paths import misspelt_paths

    return [
        Fault(f"{definition.place_of(path)}: {path}", one.message)
        for definition in definitions
        if definition.kind == "request-type"
        for one in misspelt_paths(
            definition.body.get("params") or {}, definition.body["steps"], parse
        )
        for path in (path_to(one.place),)
    ]


def _own_faults(definition: Definition, services: frozenset[str] | None) -> Iterable[FaultAt]:
    """Return what is wrong with a definition by itself."""
    if definition.kind not in _MODELS:
        return []
    from pydantic import ValidationError

    api = _api(services)
    module, model = _MODELS[definition.kind]
    given = {**definition.body, "name": definition.name}
    try:
        getattr(api.module(module), model).model_validate(given)
    except ValidationError as error:
        message_of = api.module("problems").message_of
        return [FaultAt(path_to(e["loc"]), message_of(e)) for e in error.errors()]
    return []


class _AnyName:
    """The services where they are not known: each name may be one."""

    def __contains__(self, name: object) -> bool:
        return True


@cache
def _api(services: frozenset[str] | None) -> FunctionCode:
    settings = SimpleNamespace(services=_AnyName() if services is None else services)
    return FunctionCode("api", SimpleNamespace(world=SimpleNamespace(settings=lambda: settings)))


def _unknown_types(body: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[FaultAt]:
    for s, step in enumerate(body["steps"]):
        for j, job in enumerate(step["jobs"]):
            if job["type"] not in known:
                close = get_close_matches(job["type"], known, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                message = f"there is no job type {job['type']!r}{hint}"
                yield FaultAt(f"steps[{s}].jobs[{j}].type", message)


def _blocks(body: Any, known: Mapping[str, Any]) -> Sequence[FaultAt]:
    try:
        refuse_blocks(body, known)
    except Invalid as error:
        return error.faults
    except KeyError:  # Of a job type that does not exist, or has faults of its own.
        return []
    return []
