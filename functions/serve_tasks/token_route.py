"""The route of tokens for Conductor's SDKs, which exchange a key and a secret for one."""

from __future__ import annotations

import re
from dataclasses import replace

import fields
from fields import check
from http_messages import Answer, Call, json_answer
from shiftwork_core import bootstrap
from shiftwork_core.domain.workers.tokens import Claims, TokenFault
from shiftwork_core.errors import Unauthorized
from shiftwork_core.routes import Scope

#: Goes before the names of its workers, and into no path.
_KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")


def issue(call: Call) -> Answer:
    """Issue a signed token for one of the deployment's, with which it ends.

    For the `worker` token it is that of the key's workers; else the key only names the caller.
    """
    body = call.object()
    key_id = check("keyId", body.get("keyId"), fields.short_text)
    secret = check("keySecret", body.get("keySecret"), fields.long_text)
    scope = bootstrap.workers.access().scope_of(secret) if secret else None
    if scope is None:
        raise Unauthorized(TokenFault.INVALID, "keySecret is not a token of this deployment")
    expires_at = bootstrap.world.now() + bootstrap.world.settings().api_token_lifetime
    claims = Claims(scope.value, "", expires_at, bootstrap.world.new_id())
    if scope is Scope.INVITE:
        subject = check("keyId", key_id, _key)
        claims = replace(claims, scope=Scope.WORKER.value, subject=subject, is_group=True)
    claims = replace(claims, source=bootstrap.workers.access().source_of(secret))
    return json_answer({"token": bootstrap.workers.access().issue(claims), "userId": key_id})


def _key(value: str | None) -> str:
    if value is None or _KEY.fullmatch(value) is None:
        raise ValueError(
            "must name the workers that use it: at most 100 letters, digits, '.', '_' and '-'"
        )
    return value
