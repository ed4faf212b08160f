"""Sign and check short-lived tokens, which need no store to be checked.

A token is `sw1.<payload>.<signature>`: the payload is JSON, the signature an HMAC-SHA256 of all
that precedes it, both in base64url without padding.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

#: Of the system that Shiftwork replaces.
REGISTRATION_LIFETIME = timedelta(minutes=1)
WORKER_LIFETIME = timedelta(minutes=20)

#: The names of a token's job types have at most so many bytes: API Gateway takes 10 KB of headers.
MAX_JOB_TYPES_BYTES = 2000

_PREFIX = "sw1"
#: No token of ours is longer, and a longer one is not worth hashing.
_MAX_LENGTH = 6000
_FINGERPRINT_LENGTH = 16


class TokenFault(StrEnum):
    """Why a signed token is refused; Conductor's SDKs renew theirs on either."""

    EXPIRED = "EXPIRED_TOKEN"
    INVALID = "INVALID_TOKEN"


@dataclass(frozen=True, slots=True)
class Claims:
    """A token's content.

    Attributes
    ----------
    subject:
        The worker that it is for, or with `is_group` the key whose workers it is for; empty if it
        is for no worker.
    generation:
        That of the worker's record when the token was issued: another one there ends the token.
    source:
        The fingerprint of the token that it was exchanged for, with which it ends; empty if none.
    job_types:
        The job types that the worker may do; empty: all.
    """

    scope: str
    subject: str
    expires_at: datetime
    token_id: str
    generation: str = ""
    source: str = ""
    job_types: tuple[str, ...] = ()
    is_group: bool = False


def is_signed(token: str) -> bool:
    """Whether the token has the form of a signed one."""
    return token.startswith(f"{_PREFIX}.")


def signing_key(secret: bytes) -> bytes:
    """Derive the key from a secret. A change of the secret invalidates all signed tokens."""
    return hmac.digest(secret, b"shiftwork signed tokens", hashlib.sha256)


def sign(claims: Claims, key: bytes) -> str:
    """Return the token."""
    payload = {
        "scope": claims.scope,
        "sub": claims.subject,
        "exp": int(claims.expires_at.timestamp()),
        "jti": claims.token_id,
    }
    more = {
        "gen": claims.generation,
        "src": claims.source,
        "types": claims.job_types,
        "group": claims.is_group,
    }
    payload |= {name: value for name, value in more.items() if value}
    signed = f"{_PREFIX}.{_encode(json.dumps(payload, ensure_ascii=False).encode())}"
    return f"{signed}.{_encode(_signature(signed, key))}"


def read(token: str, key: bytes, now: datetime) -> Claims | TokenFault:
    """Return the content of a token that is ours and has not expired, else its fault."""
    signed, _, signature = token.rpartition(".")
    if len(token) > _MAX_LENGTH or not token.isascii() or not is_signed(signed):
        return TokenFault.INVALID
    try:
        if not hmac.compare_digest(_decode(signature), _signature(signed, key)):
            return TokenFault.INVALID
        payload = json.loads(_decode(signed.removeprefix(f"{_PREFIX}.")))
    except (binascii.Error, ValueError):
        return TokenFault.INVALID
    expires_at = datetime.fromtimestamp(payload["exp"], UTC)
    if now >= expires_at:
        return TokenFault.EXPIRED
    return Claims(
        payload["scope"],
        payload["sub"],
        expires_at,
        payload["jti"],
        payload.get("gen", ""),
        payload.get("src", ""),
        tuple(payload.get("types", ())),
        payload.get("group", False),
    )


def fingerprint(token: bytes, key: bytes) -> str:
    """Return a text by which a signed token names the one that it was exchanged for."""
    return hmac.digest(key, b"source " + token, hashlib.sha256).hex()[:_FINGERPRINT_LENGTH]


def _signature(signed: str, key: bytes) -> bytes:
    return hmac.digest(key, signed.encode(), hashlib.sha256)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
