"""Read the `driver` part of a workspace's body, for each kind of driver.

The API has checked shapes. Checked again here is only what could make a driver switch the wrong
thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.workspaces.records import Operation, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError


@dataclass(frozen=True, slots=True)
class Selection:
    """Members by id, or all members that have every one of these tags."""

    ids: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def matches(self, tags: Mapping[str, str]) -> bool:
        """Whether something with these tags belongs to the group."""
        return self.tags.items() <= tags.items()

    def __str__(self) -> str:
        """Return it in words."""
        return " and ".join(f"{key}={value}" for key, value in self.tags.items())


def _selection(spec: JsonObject, name: str) -> Selection:
    ids, tags = spec.get(name) or [], spec.get("tags") or {}
    # A filter with neither would match everything in the account.
    if bool(ids) == bool(tags):
        named = f"both {name} and tags" if ids else f"neither {name} nor tags"
        raise _faulty(f"names {named}", "give one of them")
    unique = dict.fromkeys(map(str, ids))
    return Selection(tuple(unique), {str(key): str(value) for key, value in tags.items()})


def _faulty(what: str, next_step: str) -> DriverError:
    return DriverError(f"the workspace's driver {what}; {next_step}", is_final=True)


def _text(spec: JsonObject, name: str) -> str:
    value = spec.get(name)
    if not value:
        raise _faulty(f"has no {name!r}", "add it")
    return str(value)


def ec2_instances(spec: JsonObject) -> Selection:
    """Read `{instance_ids: [...]}` or `{tags: {...}}`."""
    return _selection(spec, "instance_ids")


@dataclass(frozen=True, slots=True)
class EcsSpec:
    """Services of a cluster; `desired_count` is for those without a remembered count."""

    cluster: str
    services: Selection
    desired_count: int

    @classmethod
    def of(cls, spec: JsonObject) -> EcsSpec:
        """Read `{cluster, services: [...] or tags: {...}, desired_count?}`."""
        count = int(spec.get("desired_count", 1))
        if count < 1:
            raise _faulty(f"has a desired_count of {count}", "give 1 or more")
        return cls(_text(spec, "cluster"), _selection(spec, "services"), count)


class RdsKind(StrEnum):
    """The kind of a workspace's databases."""

    INSTANCE = "instance"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class RdsSpec:
    """Databases, or clusters of them."""

    kind: RdsKind
    selection: Selection

    @classmethod
    def of(cls, spec: JsonObject) -> RdsSpec:
        """Read `{instances: [...]}`, `{clusters: [...]}` or `{tags: {...}, kind?}`."""
        if spec.get("instances") and spec.get("clusters"):
            raise _faulty("names both instances and clusters", "make two workspaces of them")
        kind = RdsKind.CLUSTER if "clusters" in spec else RdsKind(spec.get("kind", "instance"))
        found = _selection(spec, f"{kind.value}s")
        # RDS keeps ids in lower case, and takes them in any.
        return cls(kind, Selection(tuple(id.lower() for id in found.ids), found.tags))


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """A request of the engine."""

    type: str
    params: JsonObject

    @classmethod
    def of(cls, spec: JsonObject, operation: Operation) -> RequestSpec:
        """Read `{type, params?}` under `start` or `stop`."""
        part = spec.get(operation.value) or {}
        return cls(_text(part, "type"), part.get("params") or {})


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A call to a named service."""

    service: str
    method: str
    path: str
    headers: Mapping[str, str]
    #: None: there is none.
    body: Json = None

    @classmethod
    def of(cls, spec: JsonObject, part: str, method: str) -> HttpCall:
        """Read `{method?, path, body?, headers?}` under `part`; `method` is the usual one."""
        call = spec.get(part) or {}
        return cls(
            service=_text(spec, "service"),
            method=str(call.get("method") or method),
            path=_text(call, "path"),
            headers={str(k): str(v) for k, v in (call.get("headers") or {}).items()},
            body=call.get("body"),
        )

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.method} {self.path} of service {self.service}"


@dataclass(frozen=True, slots=True)
class HttpStates:
    """How to read a state from an answer: `value` is JMESPath, `meanings` maps what it finds."""

    value: str
    meanings: Mapping[str, WorkspaceState]

    @classmethod
    def of(cls, spec: JsonObject) -> HttpStates:
        """Read `{value?, running?, stopped?, starting?, stopping?}` under `state`."""
        part = spec.get("state") or {}
        usual = {WorkspaceState.RUNNING: "running", WorkspaceState.STOPPED: "stopped"}
        on_the_way = (WorkspaceState.STARTING, WorkspaceState.STOPPING)
        words = usual | {state: part[state.value] for state in on_the_way if state.value in part}
        words |= {state: part[state.value] for state in usual if state.value in part}
        return cls(
            str(part.get("value") or "state"),
            {as_word(word): state for state, word in words.items()},
        )


def as_word(value: Json) -> str:
    """Return the text by which states are told apart: JSON's true is `true`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
