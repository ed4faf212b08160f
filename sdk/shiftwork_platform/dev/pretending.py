"""A driver of workspaces that only pretends: it remembers what it was asked for."""

from __future__ import annotations

from shiftwork_core.domain.payloads import JsonObject, to_json
from shiftwork_core.domain.workspaces.records import Operation, Sighting, WorkspaceState
from shiftwork_core.ports.workspaces import Driver


class PretendingDriver(Driver):
    """Switches nothing. What it pretends to have switched is off at first."""

    def __init__(self) -> None:
        self._states: dict[str, WorkspaceState] = {}

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        """Return what it was last asked for."""
        state = self._states.get(to_json(spec), WorkspaceState.STOPPED)
        return Sighting(state, f"pretends to be {state}")

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        """Return what it remembers."""
        return memory

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        """Say what it pretends."""
        return [f"pretend to {operation}"]

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        """Pretend to switch, at once."""
        self._states[to_json(spec)] = operation.goal
        return memory
