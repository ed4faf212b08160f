"""Find what a token allows, and sign tokens, by what is cached for at most a minute.

A token is either in the secret, or signed with a key that is derived from the secret's admin token.
A signed one ends early with what it was issued for: a worker's record, or a token of the secret.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shiftwork_core.domain.workers.tokens import (
    Claims,
    TokenFault,
    fingerprint,
    is_signed,
    read,
    sign,
    signing_key,
)
from shiftwork_core.errors import Transient, Unavailable
from shiftwork_core.routes import Scope

#: A token that was taken out of the secret, or whose worker was deleted, is refused everywhere
#: after this long.
MAX_AGE_S = 60.0
#: An unknown token makes the secret be read again, but no more often than this: so a new token
#: works at once, and a flood of wrong ones costs nothing.
MIN_AGE_S = 5.0
#: The generation of a worker's tokens is read again after this long.
GENERATION_AGE_S = 30.0
#: Of how many workers a process keeps the generation; of others it reads it at each call.
_MAX_GENERATIONS = 5000

#: What the secret's tokens allow, by their names. Its `worker` token acts as no worker: it invites
#: workers, each of which then has a token of its own.
_SCOPES = {
    "admin": Scope.ADMIN,
    "submit": Scope.SUBMIT,
    "read": Scope.READ,
    "operate": Scope.OPERATE,
    "worker": Scope.INVITE,
}
logger = logging.getLogger("shiftwork.access")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows, or why it is refused.

    Attributes
    ----------
    scope
        None if the token allows nothing.
    claims
        The content of a signed token that is good.
    fault
        What is wrong with a signed token.
    """

    scope: Scope | None
    claims: Claims | None = None
    fault: TokenFault | None = None


class Access:
    """Finds what a token allows, and signs tokens.

    Parameters
    ----------
    read_secret:
        Returns JSON text that maps scopes to tokens: `{"admin": "<token>"}`.
    read_generation:
        Returns the generation of a worker's tokens, None if the worker has no record.
    monotonic:
        A clock in seconds that only rises.
    """

    def __init__(
        self,
        read_secret: Callable[[], str],
        read_generation: Callable[[str], str | None],
        monotonic: Callable[[], float],
    ) -> None:
        self._read_secret = read_secret
        self._read_generation = read_generation
        self._monotonic = monotonic
        self._tokens: dict[Scope, bytes] = {}
        self._read_at: float | None = None
        #: By worker, when it was read, and what; the first is the one not read for longest.
        self._generations: OrderedDict[str, tuple[float, str | None]] = OrderedDict()

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
            If the secret, or the record of the token's worker, cannot be read.
        """
        if not is_signed(token):
            return Grant(self.scope_of(token))
        if self._age_s() >= MAX_AGE_S:
            self._refresh()
        claims = self._read(token, now)
        if claims is TokenFault.INVALID and self._age_s() >= MIN_AGE_S:
            self._refresh()
            claims = self._read(token, now)
        if not isinstance(claims, TokenFault) and not self._is_workers(claims):
            claims = TokenFault.INVALID
        if isinstance(claims, TokenFault):
            return Grant(None, fault=claims)
        return Grant(Scope(claims.scope), claims)

    def issue(self, claims: Claims) -> str:
        """Return a signed token.

        Raises
        ------
        Transient
            If the secret cannot be read, or has no admin token.
        """
        return sign(claims, self._key())

    def source_of(self, token: str) -> str:
        """Return what a signed token has as its source if it ends with this one of the secret.

        Raises
        ------
        Transient
            As for `issue`.
        """
        return fingerprint(token.encode(errors="replace"), self._key())

    def _key(self) -> bytes:
        if self._age_s() >= MAX_AGE_S:
            self._refresh()
        if Scope.ADMIN not in self._tokens:
            raise Unavailable("the token secret has no admin token to sign with")
        return signing_key(self._tokens[Scope.ADMIN])

    def _read(self, token: str, now: datetime) -> Claims | TokenFault:
        """Return the token's claims if the secret still has what it depends on."""
        admin = self._tokens.get(Scope.ADMIN)
        if admin is None:
            return TokenFault.INVALID
        key = signing_key(admin)
        claims = read(token, key, now)
        if isinstance(claims, TokenFault) or not claims.source:
            return claims
        sources = [fingerprint(known, key) for known in self._tokens.values()]
        return claims if claims.source in sources else TokenFault.INVALID

    # -- workers -------------------------------------------------------------------------------

    def _is_workers(self, claims: Claims) -> bool:
        """Whether the token is of its worker's present generation; True if it is no worker's."""
        if claims.scope != Scope.WORKER or claims.is_group:
            return True
        if claims.generation == self._generation(claims.subject, GENERATION_AGE_S):
            return True
        # The worker may just have got a new one.
        return claims.generation == self._generation(claims.subject, 0.0)

    def _generation(self, worker_id: str, max_age_s: float) -> str | None:
        """Return the generation as it was at most so long ago.

        While it cannot be read, the one that was read before stays valid for a minute.
        """
        now = self._monotonic()
        read_at, known = self._generations.get(worker_id, (float("-inf"), None))
        if now - read_at < max_age_s:
            return known
        try:
            found = self._read_generation(worker_id)
        except Transient:
            if now - read_at < MAX_AGE_S:
                return known
            raise
        self._generations[worker_id] = now, found
        self._generations.move_to_end(worker_id)
        if len(self._generations) > _MAX_GENERATIONS:
            self._generations.popitem(last=False)
        return found

    # -- the secret ----------------------------------------------------------------------------

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
        _SCOPES[name]: token.encode()
        for name, token in secret.items()
        if name in _SCOPES and isinstance(token, str) and token
    }
