"""Apply definitions: read the files, plan what changes, send it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from shiftwork.api.calls.definitions import Kind
from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import (
    ApiError,
    BadDefinitions,
    Conflict,
    Fault,
    Invalid,
    NotFound,
    TooLarge,
)
from shiftwork.api.shapes import JsonObject, Notice

DefinitionKind = Kind | Literal["workspace"]
#: Job types come first: the API refuses a request type that names an unknown job type.
TYPES: tuple[Kind, ...] = ("job-type", "request-type")
#: Workspaces come last: requests may start and stop them.
KINDS: tuple[DefinitionKind, ...] = (*TYPES, "workspace")
#: Fields that the API adds to a definition.
_ADDED = {"kind", "name", "version", "created_at"}


@dataclass(frozen=True)
class Definition:
    """One document of a file; `place` is `file:line`."""

    kind: DefinitionKind
    name: str
    body: JsonObject
    place: str


@dataclass(frozen=True)
class FieldChange:
    """A field that differs; `before` or `after` is None where it does not exist."""

    path: str
    before: Any
    after: Any


@dataclass
class Change:
    """What applying a definition does, and afterwards its version or its faults.

    `limits` are those that wide requests of the type meet. Workspaces have no versions.
    """

    definition: Definition
    action: str
    fields: list[FieldChange] = field(default_factory=list)
    version: int | None = None
    faults: list[Fault] = field(default_factory=list)
    limits: list[Notice] = field(default_factory=list)

    def to_json(self) -> JsonObject:
        """Return it for `-o json`."""
        return {
            "kind": self.definition.kind,
            "name": self.definition.name,
            "place": self.definition.place,
            "action": self.action,
            "version": self.version,
            "fields": [{"path": f.path, "before": f.before, "after": f.after} for f in self.fields],
            "errors": [{"path": f.path, "message": f.message} for f in self.faults],
            "limits": self.limits,
        }


# -- reading -------------------------------------------------------------------------------------


def read(path: Path) -> list[Definition]:
    """Return the definitions of a file, or of all YAML files of a folder, in order of kinds.

    Raises
    ------
    BadDefinitions
        If there is none, or some have faults; the error names every fault.
    """
    files = [path] if path.is_file() else sorted([*path.rglob("*.yaml"), *path.rglob("*.yml")])
    faults: list[Fault] = []
    found: dict[tuple[str, str], Definition] = {}
    for file in files:
        for place, document in _documents(file, faults):
            definition = _definition(place, document, faults)
            if definition is None:
                continue
            other = found.setdefault((definition.kind, definition.name), definition)
            if other is not definition:
                message = f"{definition.kind} {definition.name!r} is defined in {other.place} too"
                faults.append(Fault(place, message))
    if not found and not faults:
        faults = [Fault(str(path), "no definitions here (*.yaml)")]
    if faults:
        raise BadDefinitions(faults)
    return sorted(found.values(), key=lambda d: (KINDS.index(d.kind), d.name))


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def _without_base_60(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(rf"(?!.*:)(?:{pattern.pattern})", pattern.flags)


class _Loader(yaml.SafeLoader):
    """Reads `22:00` as a text; to YAML 1.1 it is the number 1320, in base 60."""


_Loader.yaml_implicit_resolvers = {
    character: [
        (tag, _without_base_60(pattern) if tag in _NUMBERS else pattern)
        for tag, pattern in resolvers
    ]
    for character, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _documents(file: Path, faults: list[Fault]) -> Iterator[tuple[str, Any]]:
    """Yield each document with its place. A syntax error ends the file."""
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            yield f"{file}:{node.start_mark.line + 1}", loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        faults.append(Fault(f"{file}:{line}", f"not YAML: {error.problem}"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        faults.append(Fault(str(file), f"not YAML: {error}"))


def _definition(place: str, document: Any, faults: list[Fault]) -> Definition | None:
    if document is None:  # An empty document, such as one of comments only.
        return None
    if not isinstance(document, dict):
        faults.append(Fault(place, "a definition is a mapping with kind and name"))
        return None
    kind, name = document.get("kind"), document.get("name")
    own = []
    if kind not in KINDS:
        own.append(Fault(place, f"kind is {kind!r}; it must be one of {', '.join(KINDS)}"))
    if not isinstance(name, str) or not name:
        own.append(Fault(place, "name is missing"))
    try:
        plain = json.loads(json.dumps(document, allow_nan=False))
    except (TypeError, ValueError) as error:
        own.append(Fault(place, f"not JSON ({error}); a date needs quotes"))
    faults += own
    if own or kind is None:
        return None
    body = {key: value for key, value in plain.items() if key not in ("kind", "name")}
    return Definition(kind, str(name), body, place)


# -- planning ------------------------------------------------------------------------------------


def plan(client: ShiftworkClient, definitions: list[Definition]) -> list[Change]:
    """Return what applying each definition would do, and send nothing."""
    present = _present(client, {definition.kind for definition in definitions})
    changes = []
    for definition in definitions:
        found = present.get((definition.kind, definition.name))
        if found is None:
            changes.append(Change(definition, "create"))
            continue
        body, version = found
        fields = list(differences(body, definition.body))
        action = "update" if fields else "unchanged"
        changes.append(Change(definition, action, fields, version))
    return changes


def _present(
    client: ShiftworkClient, kinds: set[DefinitionKind]
) -> dict[tuple[str, str], tuple[JsonObject, int | None]]:
    """Return body and version of every definition of these kinds, by kind and name."""
    present: dict[tuple[str, str], tuple[JsonObject, int | None]] = {}
    for kind in kinds:
        if kind == "workspace":
            for found in client.workspaces():
                present[kind, found["workspace_id"]] = found["definition"], None
        else:
            for latest in client.definitions(kind):
                body = {key: value for key, value in latest.items() if key not in _ADDED}
                present[kind, latest["name"]] = body, latest["version"]
    return present


def differences(before: Any, after: Any, path: str = "") -> Iterator[FieldChange]:
    """Yield every field, down to the leaves, in which two JSON values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            place = f"{path}.{key}" if path else str(key)
            yield from differences(before.get(key), after.get(key), place)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else None
            new = after[index] if index < len(after) else None
            yield from differences(old, new, f"{path}[{index}]")
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield FieldChange(path, before, after)


# -- applying ------------------------------------------------------------------------------------


def apply(client: ShiftworkClient, changes: list[Change]) -> list[Change]:
    """Send the changes, and return those that the API refused; a refusal does not stop the rest."""
    refused = []
    for change in changes:
        if change.action == "unchanged":
            continue
        definition = change.definition
        try:
            if definition.kind == "workspace":
                client.put_workspace(definition.name, definition.body)
            else:
                answer = client.put_definition(definition.kind, definition.name, definition.body)
                change.version = answer["version"]
        except (Invalid, TooLarge, Conflict) as error:
            change.faults = _faults_of(error)
            refused.append(change)
    return refused


def look_up_limits(client: ShiftworkClient, changes: list[Change]) -> None:
    """Note the limits of each request type that was put, once all job types are as they will be."""
    for change in changes:
        definition = change.definition
        was_put = change.action != "unchanged" and not change.faults
        if definition.kind == "request-type" and was_put:
            try:
                change.limits = client.plan_request(definition.name)["limits"]
            except NotFound:  # A stack that was deployed before there were plans.
                return


def fate_of_others(changes: list[Change], refused: list[Change]) -> str:
    """Return what became of the changes that were not refused."""
    sent = sum(change.action != "unchanged" for change in changes)
    return "the others are applied" if sent > len(refused) else "nothing was applied"


def _faults_of(error: ApiError) -> list[Fault]:
    return error.faults or [Fault("", error.message)]
