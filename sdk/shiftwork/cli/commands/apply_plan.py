"""Apply definitions: plan what changes, and send it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import (
    ApiError,
    Conflict,
    Fault,
    Invalid,
    NotFound,
    TooLarge,
)
from shiftwork.api.shapes import JsonObject, Notice
from shiftwork.definition_files import Definition, DefinitionKind

#: Fields that the API adds to a definition.
_ADDED = {"kind", "name", "version", "created_at"}


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
