"""Tokens of every caller, good and ended, with which the tests of doors make calls."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from shiftwork_core.domain.workers.tokens import Claims
from shiftwork_core.routes import Scope
from shiftwork_core.services.workers.access import Access
from shiftwork_platform.gateway import Gateway, GatewayAnswer
from tests.world.world import World

#: A call of a route: its path, query and body.
Sample = tuple[str, str, Any]
#: The callers whose signed tokens have ended, each for a reason of its own.
ENDED = ("expired", "revoked", "of a deleted worker", "of a rotated token", "forged")
#: The callers with a token of the secret, by what it is called there; the last one has none.
PEOPLE = ("operate", "read", "submit", "admin", "unknown")
#: The scope of each.
SCOPES: dict[str, Scope | None] = {name: Scope(name) for name in PEOPLE[:-1]} | {"unknown": None}
_REFUSED = '{"message":"Forbidden"}'


@dataclass
class Doors:
    """A deployment, and a token of each caller."""

    gateway: Gateway
    world: World
    tokens: dict[str, str]

    def call(self, caller: str, method: str, sample: Sample) -> GatewayAnswer | None:
        """Make a call; return None if the authorizer refuses it."""
        path, query, body = sample
        headers = {"Authorization": f"Bearer {self.tokens[caller]}"}
        sent = b"" if body is None else json.dumps(body).encode()
        answer = self.gateway(method, path, query, headers, sent)
        return None if (answer.status, answer.text) == (403, _REFUSED) else answer


def register(world: World, *names: str) -> None:
    """Register workers, each with a generation of its own."""
    for name in names:
        world.workers.register(name, "", ["render"], 9, generation=f"g-{name}")


#: Others with a worker's token; the last one is called as the worker is, or as its key.
OTHER_WORKERS = ("another worker", "another key", "its namesake")


def tokens_of(access: Access, world: World, *, is_of_key: bool = False) -> dict[str, str]:
    """Return a token of each caller; the worker's own one is host-1's, or that of a key's workers.

    The workers host-1, host-2 and team-a must be registered.
    """
    until = world.clock() + timedelta(minutes=20)
    registered = Claims("worker", "host-1", until, "t", "g-host-1")
    group = replace(registered, subject="team-a", generation="", is_group=True)
    of_key = replace(group, source=access.source_of("w-token"))
    own = of_key if is_of_key else registered
    worker_of_its_name = replace(registered, subject="team-a", generation="g-team-a")
    key_of_its_name = replace(of_key, subject="host-1")
    claims = {
        "its worker": own,
        "another worker": replace(registered, subject="host-2", generation="g-host-2"),
        "another key": replace(of_key, subject="team"),
        "its namesake": worker_of_its_name if is_of_key else key_of_its_name,
        "for another type": replace(own, job_types=("cut", "mix")),
        "expired": replace(own, expires_at=world.clock()),
        "revoked": replace(registered, generation="g-0"),
        "of a deleted worker": replace(registered, subject="host-0"),
        "of a rotated token": replace(own, source="0" * 16),
    }
    signed = {caller: access.issue(its) for caller, its in claims.items()}
    return {
        **signed,
        "forged": signed["its worker"][:-2] + "AA",
        "static worker": "w-token",
        **{name: f"{name[0]}-token" for name in PEOPLE if name != "unknown"},
        "unknown": "x-token",
    }
