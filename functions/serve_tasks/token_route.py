"""The route of tokens for Conductor's SDKs, which exchange a key and a secret for one."""

from __future__ import annotations

import fields
from fields import check
from http_messages import Answer, Call, json_answer
from shiftwork_core import bootstrap
from shiftwork_core.domain.workers.tokens import Claims, TokenFault
from shiftwork_core.errors import Unauthorized


def issue(call: Call) -> Answer:
    """Issue a signed token for one of the deployment's; the key only names the caller."""
    body = call.object()
    key_id = check("keyId", body.get("keyId"), fields.short_text)
    secret = check("keySecret", body.get("keySecret"), fields.long_text)
    scope = bootstrap.workers.access().scope_of(secret) if secret else None
    if scope is None:
        raise Unauthorized(TokenFault.INVALID, "keySecret is not a token of this deployment")
    expires_at = bootstrap.world.now() + bootstrap.world.settings().api_token_lifetime
    claims = Claims(scope.value, "", expires_at, bootstrap.world.new_id())
    return json_answer({"token": bootstrap.workers.access().issue(claims), "userId": key_id})
