"""Who may call what: a token's scope, from a secret that is read seldom and never for long."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable

from shiftwork_core.errors import Transient
from shiftwork_core.routes import Scope

#: A token taken out of the secret is refused everywhere after this long.
MAX_AGE_S = 60.0
#: A token the cached secret does not know makes it be read again, but no more often than this, so
#: that a new token works at once and a flood of wrong ones costs nothing.
MIN_AGE_S = 5.0

_SCOPES = frozenset(Scope)
logger = logging.getLogger("shiftwork.access")


class Access:
    """Finds the scope of a token.

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
        """Return the scope of the token, None if nobody has it.

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

    def _age_s(self) -> float:
        return float("inf") if self._read_at is None else self._monotonic() - self._read_at

    def _find(self, token: str) -> Scope | None:
        """Compare with every token, so that the time taken tells nothing about any of them."""
        given = token.encode(errors="replace")
        found = [s for s, known in self._tokens.items() if hmac.compare_digest(known, given)]
        return found[0] if found else None

    def _refresh(self) -> None:
        """Read the secret. While it cannot be read, the tokens read before stay good."""
        is_first = self._read_at is None
        try:
            text = self._read_secret()
        except Transient:
            if is_first:
                raise
            logger.warning("the token secret cannot be read; the tokens known before stay good")
        else:
            self._tokens = _parse(text)
        self._read_at = self._monotonic()


def _parse(text: str) -> dict[Scope, bytes]:
    """Read the secret. What is not a scope with a token that is not empty is left out."""
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
