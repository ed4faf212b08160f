"""Find a token's scope and sign tokens, with a secret that is cached for at most a minute.

A token is either in the secret, or signed with a key that is derived from the secret's admin token.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shiftwork_core.domain.workers.tokens import (
    Claims,
    TokenFault,
    is_signed,
    read,
    sign,
    signing_key,
)
from shiftwork_core.errors import Transient, Unavailable
from shiftwork_core.routes import Scope

#: A token taken out of the secret is refused everywhere after this long.
MAX_AGE_S = 60.0
#: An unknown token makes the secret be read again, but no more often than this: so a new token
#: works at once, and a flood of wrong ones costs nothing.
MIN_AGE_S = 5.0

#: The scopes of the secret's tokens. `register` is not among them: registration tokens are signed,
#: each for one worker and one use.
_SCOPES = frozenset(Scope) - {Scope.REGISTER}
logger = logging.getLogger("shiftwork.access")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows, or why it is refused.

    Attributes
    ----------
    scope
        None if the token allows nothing.
    subject
        The worker that a signed token is for; empty if it is not for one worker.
    token_id
        The id of a signed token.
    fault
        What is wrong with a signed token.
    """

    scope: Scope | None
    subject: str = ""
    token_id: str = ""
    fault: TokenFault | None = None


class Access:
    """Finds what a token allows, and signs tokens.

    Parameters
    ----------
    read_secret:
        Returns JSON text that maps scopes to tokens: `{"admin": "<token>"}`.
    monotonic:
        A clock in seconds that only rises.
    """

    def __init__(self, read_secret: Callable[[], str], monotonic: Callable[[], float]) -> None:
        self._read_secret = read_secret
        self._monotonic = monotonic
        self._tokens: dict[Scope, bytes] = {}
        self._read_at: float | None = None

    def scope_of(self, token: str) -> Scope | None:
        """Return the scope of a token in the secret, None for an unknown one.

        Raises
        ------
        Transient
            If the secret was never read and cannot be read now.
        """
        if self._age_s() >= MAX_AGE_S:
            self._refresh()
        scope = self._find(token)
        if scope is None and self._age_s() >= MIN_AGE_S:
            self._refresh()
            scope = self._find(token)
        return scope

    def grant_of(self, token: str, now: datetime) -> Grant:
        """Return the token's grant at this time.

        Raises
        ------
        Transient
            If the secret was never read and cannot be read now.
        """
        if not is_signed(token):
            return Grant(self.scope_of(token))
        if self._age_s() >= MAX_AGE_S:
            self._refresh()
        claims = self._read(token, now)
        if claims is TokenFault.INVALID and self._age_s() >= MIN_AGE_S:
            self._refresh()
            claims = self._read(token, now)
        if isinstance(claims, TokenFault):
            return Grant(None, fault=claims)
        return Grant(Scope(claims.scope), claims.subject, claims.token_id)

    def issue(self, claims: Claims) -> str:
        """Return a signed token.

        Raises
        ------
        Transient
            If the secret cannot be read, or has no admin token.
        """
        if self._age_s() >= MAX_AGE_S:
            self._refresh()
        if Scope.ADMIN not in self._tokens:
            raise Unavailable("the token secret has no admin token to sign with")
        return sign(claims, signing_key(self._tokens[Scope.ADMIN]))

    def _read(self, token: str, now: datetime) -> Claims | TokenFault:
        admin = self._tokens.get(Scope.ADMIN)
        return TokenFault.INVALID if admin is None else read(token, signing_key(admin), now)

    def _age_s(self) -> float:
        return float("inf") if self._read_at is None else self._monotonic() - self._read_at

    def _find(self, token: str) -> Scope | None:
        """Compare with every token, so that the time this takes reveals nothing about them."""
        given = token.encode(errors="replace")
        found = [s for s, known in self._tokens.items() if hmac.compare_digest(known, given)]
        return found[0] if found else None

    def _refresh(self) -> None:
        """Read the secret. While it cannot be read, the tokens read before stay valid."""
        is_first = self._read_at is None
        try:
            text = self._read_secret()
        except Transient:
            if is_first:
                raise
            logger.warning("the token secret cannot be read; the tokens read before stay valid")
        else:
            self._tokens = _parse(text)
        self._read_at = self._monotonic()


def _parse(text: str) -> dict[Scope, bytes]:
    """Parse the secret, without entries that are not a scope with a token."""
    try:
        secret = json.loads(text)
    except ValueError:
        secret = None
    if not isinstance(secret, dict):
        logger.error('the token secret must be JSON such as {"admin": "<token>"}; nobody gets in')
        return {}
    return {
        Scope(name): token.encode()
        for name, token in secret.items()
        if name in _SCOPES and isinstance(token, str) and token
    }
