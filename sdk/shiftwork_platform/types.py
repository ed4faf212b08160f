"""Put the types of a project into the tables of a deployment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from shiftwork.api.calls.definitions import TYPES
from shiftwork.definition_files import Definition
from shiftwork_core.adapters.memory import MemoryDefinitionStore, MemoryTables
from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_platform.wiring import Ports, Services

_KINDS = {"job-type": Kind.JOB_TYPE, "request-type": Kind.REQUEST_TYPE}


def types_in(definitions: Iterable[Definition]) -> list[Definition]:
    """Return the job types and then the request types, without workspaces."""
    types = [one for one in definitions if one.kind in _KINDS]
    return sorted(types, key=lambda one: TYPES.index(one.kind))


def define(tables: MemoryTables, types: Iterable[Definition], now: datetime) -> None:
    """Put the types into the tables.

    Raises
    ------
    Invalid
        If a request type names job types that do not exist.
    """
    ports = Ports(definitions=MemoryDefinitionStore(tables), clock=lambda: now)
    definitions = Services(ports).definitions
    for one in types:
        definitions.put(_KINDS[one.kind], one.name, one.body)


def targets_of(types: Iterable[Definition]) -> dict[str, str]:
    """Return the targets of job types, by name."""
    return {one.name: one.body.get("target", "") for one in types if one.kind == "job-type"}


def entry(body: Any, step: int, name: str) -> Any:
    """Return an entry of a request type's step, by the step's number and the entry's name."""
    return next(job for job in body["steps"][step - 1]["jobs"] if job["name"] == name)
