"""What the routes of definitions return: the shapes, and the view of a definition."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from answers import Output, Timestamp
from inputs import Name
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.definitions import Definition


class DefinitionAnswer(BaseModel):
    """A definition: what its author wrote, with its name and version."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["request-type", "job-type"]
    name: Name
    version: int
    created_at: Timestamp


class DefinitionPage(Output):
    """Some definitions, each in its latest version."""

    items: list[DefinitionAnswer]
    next_token: str | None


def definition_view(definition: Definition) -> JsonObject:
    """Return a definition: its body, with its kind, name and version."""
    return {
        "kind": definition.kind.value,
        "name": definition.name,
        "version": definition.version,
        "created_at": definition.created_at,
        **definition.body,
    }
