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

    def invite(self, hostname: str, job_types: Sequence[str] = ()) -> IssuedToken:
        """Issue a token with which the worker of this name registers once.

        The tokens that it has from then on are for jobs of these types; empty: of all.
        """
        return self._issue(Scope.REGISTER, hostname, REGISTRATION_LIFETIME, tuple(job_types))

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
        worker = self._workers.register(
            hostname, address, routes, build_limit, generation=self._new_id()
        )
        if running_build_ids is not None:
            lost = [i for i in worker.running_build_ids if i not in running_build_ids]
            if lost:
                self._reaper().requeue(worker, lost, "has started again without it")
                self._workers.changed(hostname, (), lost, self._clock())
                worker = self._workers.get(worker.worker_id)
        return worker, self._token_of(worker, caller)

    def refresh(
        self, caller: Caller, worker_id: str, report: WorkerReport
    ) -> tuple[Worker, IssuedToken]:
        """Check the worker in; return its record and a new token.

        Raises
        ------
        Forbidden
            If the caller's token is for another worker.
        NotFound
            If it has no record: it must register again.
        Unauthorized
            If the caller's token was revoked: the authorizer learns of that up to 30 s later.
        """
        caller.require(worker_id)
        worker = self._workers.check_in(worker_id, report)
        if caller.is_worker and caller.generation != worker.generation:
            raise Unauthorized(
                TokenFault.INVALID,
                "the worker's tokens were revoked",
                "register again: POST /v1/worker-registrations, then POST /v1/workers",
            )
        return worker, self._token_of(worker, caller)

    def revoke(self, worker_id: str) -> Worker:
        """End all tokens of a worker; it can only register again, with an invitation.

        Raises
        ------
        NotFound
            If it has no record.
        """
        return self._workers.revoke(worker_id, self._new_id())

    def _token_of(self, worker: Worker, caller: Caller) -> IssuedToken:
        return self._issue(
            Scope.WORKER,
            worker.worker_id,
            WORKER_LIFETIME,
            caller.job_types,
            generation=worker.generation,
        )

    def _issue(
        self,
        scope: Scope,
        subject: str,
        lifetime: timedelta,
        job_types: tuple[str, ...],
        generation: str = "",
    ) -> IssuedToken:
        expires_at = self._clock().replace(microsecond=0) + lifetime
        claims = Claims(
            scope.value,
            subject,
            expires_at,
            self._new_id(),
            generation=generation,
            job_types=job_types,
        )
        return IssuedToken(self._access.issue(claims), expires_at)
