"""The caller of an HTTP API event, as the authorizer passes it on to the functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shiftwork_core.domain.workers.tokens import TokenFault
from shiftwork_core.errors import Forbidden, Unauthorized
from shiftwork_core.routes import Scope

_DETAILS = {
    TokenFault.EXPIRED: "the token has expired",
    TokenFault.INVALID: "the token is not one that this deployment has signed",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """The token's scope, the worker that it is for (empty if none), and its id if it is signed."""

    scope: Scope | None = None
    subject: str = ""
    token_id: str = ""

    def require(self, worker_id: str) -> None:
        """Check that the caller may act as this worker.

        Raises
        ------
        Forbidden
            If the token is another worker's.
        """
        if self.subject and self.subject != worker_id:
            raise Forbidden(
                f"the token is {self.subject!r}'s and changes no other worker's record",
                "call with the token that this worker was given, or with an administrator's",
            )


def caller_of(event: dict[str, Any]) -> Caller:
    """Return the caller of an event; on an open route a caller without a scope.

    Raises
    ------
    Unauthorized
        If the token is signed and not valid. The authorizer lets it through, since only a function
        can tell the caller why: so every function must call this first.
    """
    authorizer = event["requestContext"].get("authorizer") or {}
    context = authorizer.get("lambda") or {}
    if fault := context.get("error"):
        known = TokenFault(fault)
        raise Unauthorized(known, _DETAILS[known], "get a new token, or use another")
    scope = context.get("scope")
    return Caller(
        Scope(scope) if scope else None, context.get("subject", ""), context.get("token_id", "")
    )
