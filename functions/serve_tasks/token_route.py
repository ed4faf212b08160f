"""Tokens for Conductor's SDKs, which send a key and a secret once and renew what they get."""

from __future__ import annotations

import http_messages as calls
from http_messages import Answer, Call, check, json_answer
from shiftwork_core import bootstrap
from shiftwork_core.domain.workers.tokens import Claims, TokenFault
from shiftwork_core.errors import Unauthorized


def issue(call: Call) -> Answer:
    """Give a signed token for one of the deployment's; the key is only a name for who asks."""
    body = call.object()
    key_id = check("keyId", body.get("keyId"), calls.short_text)
    secret = check("keySecret", body.get("keySecret"), calls.long_text)
    scope = bootstrap.workers.access().scope_of(secret) if secret else None
    if scope is None:
        raise Unauthorized(TokenFault.INVALID, "keySecret is not a token of this deployment")
    expires_at = bootstrap.world.now() + bootstrap.world.settings().api_token_lifetime
    claims = Claims(scope.value, "", expires_at, bootstrap.world.new_id())
    return json_answer({"token": bootstrap.workers.access().issue(claims), "userId": key_id})
