"""The caller of an HTTP API event, as the authorizer passes it on, and what it may act as and see.

A caller that is a worker acts as itself, and for it the tasks, records and types of others are
absent. A caller of any other scope is a person's, or a program's that people trust with all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shiftwork_core.domain.workers.tokens import Claims, TokenFault
from shiftwork_core.errors import Forbidden, Unauthorized
from shiftwork_core.routes import Scope

#: Between a key and the name of one of its workers. Neither a key nor the name of a worker that
#: has registered may have it, so nobody else is called so. And none of them is called as the key
#: alone, which a registered worker may be.
_OF_KEY = "/"

_DETAILS = {
    TokenFault.EXPIRED: "the token has expired",
    TokenFault.INVALID: (
        "the token is not one that this deployment has signed, or what it was issued for has ended"
    ),
}
#: What the authorizer passes on for the secret's `worker` token where a worker's own is needed.
ONLY_INVITES = "ONLY_INVITES"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes
    ----------
    scope:
        The token's scope; None on an open route.
    subject:
        The worker that the token is for, or with `is_group` the key; empty if it is for none.
    token_id:
        Its id, if it is signed.
    generation:
        The generation of its worker's record when it was issued.
    job_types:
        The job types that it names; empty: all.
    is_group:
        Whether it is for all workers of a key, which are called `<key>/<their name>`.
    """

    scope: Scope | None = None
    subject: str = ""
    token_id: str = ""
    generation: str = ""
    job_types: tuple[str, ...] = ()
    is_group: bool = False

    @property
    def is_worker(self) -> bool:
        """Whether it is a worker, which sees and changes only what is its own."""
        return self.scope is Scope.WORKER

    def name_of(self, given: str | None) -> str | None:
        """Return the name of the worker that it acts as, if the call names `given`.

        An absent name is a worker's own, and of a key that of the worker that is called as the key.
        None: the caller is no worker and names none.

        Raises
        ------
        Forbidden
            If it is another worker's.
        """
        if not self.subject:
            return given
        if self.is_group:
            name = given or self.subject
            return name if self._is_own(name) else self.subject + _OF_KEY + name
        self.require(given or self.subject)
        return self.subject

    def require(self, worker_id: str) -> None:
        """Check that the caller may act as this worker, which has registered or is to.

        Raises
        ------
        Forbidden
            If the token is another worker's, or a key's: its workers do not register.
        """
        if self.is_group or self.subject not in ("", worker_id):
            whose = f"the key {self.subject!r}" if self.is_group else repr(self.subject)
            raise Forbidden(
                f"the token is that of {whose} and acts as no other worker",
                "call with the token that this worker was given, or with an administrator's",
            )

    def may_see(self, worker_id: str | None, job_type: str) -> bool:
        """Whether it may see and change a task of this type that this worker holds or held."""
        if not self.is_worker:
            return True
        return worker_id is not None and self._is_own(worker_id) and self.may_do(job_type)

    def _is_own(self, worker_id: str) -> bool:
        """Whether the name is the subject's, or that of one of the key's workers."""
        if self.is_group:
            return worker_id.startswith(self.subject + _OF_KEY)
        return worker_id == self.subject

    def may_do(self, job_type: str) -> bool:
        """Whether its token is for jobs of this type."""
        return not self.job_types or job_type in self.job_types

    def require_type(self, job_type: str) -> None:
        """Check that its token is for jobs of this type.

        Raises
        ------
        Forbidden
            If it names others only.
        """
        if not self.may_do(job_type):
            raise Forbidden(
                f"the token is for jobs of {', '.join(self.job_types)}, not of {job_type!r}",
                "poll for those, or register with an invitation for this type",
            )


#: People, and programs that they trust with all.
ANYBODY = Caller()


def context_of(scope: Scope | None, claims: Claims | None, error: str | None) -> dict[str, Any]:
    """Return what the authorizer passes on, as `caller_of` reads it."""
    context: dict[str, Any] = {"scope": scope or ""}
    if claims is not None:
        context |= {
            "subject": claims.subject,
            "token_id": claims.token_id,
            "generation": claims.generation,
            # API Gateway passes on no lists.
            "job_types": json.dumps(claims.job_types) if claims.job_types else "",
            "is_group": claims.is_group,
        }
    context["error"] = error
    return {name: value for name, value in context.items() if value or name == "scope"}


def caller_of(event: dict[str, Any]) -> Caller:
    """Return the caller of an event; on an open route a caller without a scope.

    Raises
    ------
    Unauthorized
        If the token is signed and not valid. The authorizer lets it through, since only a function
        can tell the caller why: so every function must call this first.
    Forbidden
        If it is the secret's `worker` token, and the route needs a worker's own.
    """
    authorizer = event["requestContext"].get("authorizer") or {}
    context = authorizer.get("lambda") or {}
    fault = context.get("error")
    if fault == ONLY_INVITES:
        raise Forbidden(
            "the deployment's worker token invites workers, and acts as none",
            "exchange it for a worker's: POST /api/token with the worker's name as keyId; or "
            "register: POST /v1/worker-registrations, then POST /v1/workers",
        )
    if fault:
        known = TokenFault(fault)
        raise Unauthorized(known, _DETAILS[known], "get a new token, or use another")
    scope = context.get("scope")
    return Caller(
        Scope(scope) if scope else None,
        context.get("subject", ""),
        context.get("token_id", ""),
        context.get("generation", ""),
        tuple(json.loads(context.get("job_types") or "[]")),
        # API Gateway passes on true as a text.
        str(context.get("is_group", "")).lower() == "true",
    )
