"""Register workers: issue their tokens and create their records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shiftwork_core.caller import Caller
from shiftwork_core.domain.workers.tokens import (
    REGISTRATION_LIFETIME,
    WORKER_LIFETIME,
    Claims,
    TokenFault,
)
from shiftwork_core.domain.workers.workers import Worker, WorkerReport
from shiftwork_core.errors import Unauthorized
from shiftwork_core.ports.workers import TokenStore
from shiftwork_core.ports.world import Clock, NewId
from shiftwork_core.routes import Scope
from shiftwork_core.services.workers.access import Access
from shiftwork_core.services.workers.reaper import WorkerReaper
from shiftwork_core.services.workers.records import WorkerRecords


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, and when it expires."""

    token: str
    expires_at: datetime


class Registrations:
    """Registers workers: each has a token for one registration, then one that it renews."""

    def __init__(
        self,
        workers: WorkerRecords,
        tokens: TokenStore,
        access: Access,
        reaper: Callable[[], WorkerReaper],
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._workers = workers
        self._reaper = reaper
        self._tokens = tokens
        self._access = access
        self._clock = clock
        self._new_id = new_id

    def invite(self, hostname: str) -> IssuedToken:
        """Issue a token with which the worker of this name registers once."""
        return self._issue(Scope.REGISTER, hostname, REGISTRATION_LIFETIME)

    def register(
        self,
        caller: Caller,
        hostname: str,
        address: str,
        routes: Sequence[str],
        build_limit: int,
        running_build_ids: Sequence[str] | None = None,
    ) -> tuple[Worker, IssuedToken]:
        """Create the worker's record; return it and the worker's token.

        `running_build_ids` are the builds that the worker holds, None if it does not say. Others in
        its record are requeued at once: the worker died, and was started again under its name
        before a sweep noticed.

        Raises
        ------
        Forbidden
            If the caller's token is for another worker.
        Unauthorized
            If the token was used before. This call uses it up, even if it fails later.
        """
        caller.require(hostname)
        if caller.token_id:
            ends_at = self._clock() + REGISTRATION_LIFETIME
            if not self._tokens.use(caller.token_id, self._new_id(), ends_at):
                raise Unauthorized(
                    TokenFault.INVALID,
                    "the registration token has been used",
                    "get a new one for each attempt: POST /v1/worker-registrations",
                )
        worker = self._workers.register(hostname, address, routes, build_limit)
        if running_build_ids is not None:
            lost = [i for i in worker.running_build_ids if i not in running_build_ids]
            if lost:
                self._reaper().requeue(worker, lost, "has started again without it")
                self._workers.changed(hostname, (), lost, self._clock())
                worker = self._workers.get(worker.worker_id)
        return worker, self._issue(Scope.WORKER, worker.worker_id, WORKER_LIFETIME)

    def refresh(self, worker_id: str, report: WorkerReport) -> tuple[Worker, IssuedToken]:
        """Check the worker in; return its record and a new token.

        Raises
        ------
        NotFound
            If it has no record: it must register again.
        """
        worker = self._workers.check_in(worker_id, report)
        return worker, self._issue(Scope.WORKER, worker.worker_id, WORKER_LIFETIME)

    def _issue(self, scope: Scope, subject: str, lifetime: timedelta) -> IssuedToken:
        expires_at = self._clock().replace(microsecond=0) + lifetime
        claims = Claims(scope.value, subject, expires_at, self._new_id())
        return IssuedToken(self._access.issue(claims), expires_at)
