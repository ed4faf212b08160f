"""A worker's record at the server: registering, checking in, and the token that this gives."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence

from shiftwork.api.client import AsyncShiftworkClient
from shiftwork.api.errors import ApiError, NotFound, ShiftworkError, Unauthorized
from shiftwork.api.retries import is_transient
from shiftwork.api.shapes import WorkerToken
from shiftwork.worker.context import LOGGER, WorkerContext
from shiftwork.worker.tasks_in_hand import Workload

#: Until the server says how often.
_CHECK_IN_S = 30.0
#: After so many check-ins in a row that failed, something is wrong.
_MAX_FAILURES = 3
#: What a server answers that keeps no records.
_NO_RECORDS = (404, 405, 501)


class WorkerRecord:
    """The record of this process, if the server keeps one.

    Parameters
    ----------
    registration
        A registration token. Without one the client's own token asks for it.
    is_kept
        Whether to have a record at all.

    Attributes
    ----------
    troubles
        What is wrong with this worker, by the part of it that says so.
    check_in_s
        How often to check in.
    """

    def __init__(
        self,
        client: AsyncShiftworkClient,
        worker_id: str,
        *,
        registration: str | None = None,
        is_kept: bool = True,
        logger: logging.Logger = LOGGER,
    ) -> None:
        self.worker_id = worker_id
        self.troubles: dict[str, str] = {}
        self.check_in_s = _CHECK_IN_S
        self._client = client
        self._own_token = client.token
        self._registration = registration
        self._is_kept = is_kept
        self._is_registered = False
        self._has_started = False
        self._routes: list[str] = []
        self._limit = 0
        self._logger = logger
        self._failures = 0
        self._renewing = asyncio.Lock()

    @property
    def trouble(self) -> str:
        """What is wrong with this worker; empty if nothing is."""
        return "; ".join(self.troubles.values())

    async def register(self, routes: Sequence[str], limit: int) -> None:
        """Have a record that says what this worker does, and the token that comes with it."""
        if not self._is_kept:
            return
        if self._is_registered:
            if (list(routes), limit) != (self._routes, self._limit):
                body = {"routes": list(routes), "build_limit": limit}
                await self._client.put_worker(self.worker_id, body)
                self._routes, self._limit = list(routes), limit
            return
        self._client.token = self._own_token
        registration = self._registration
        try:
            if registration is None:
                registration = (await self._client.new_registration(self.worker_id))["token"]
            answer = await self._client.register_worker(
                registration,
                self.worker_id,
                address=socket.gethostname(),
                routes=list(routes),
                build_limit=limit,
                # What a process before it held under its name is lost, and handed out again.
                running_build_ids=None if self._has_started else [],
            )
        except ApiError as error:
            if error.status not in _NO_RECORDS:
                raise
            self._logger.info("This Shiftwork keeps no records of workers.")
            self._is_kept = False
            return
        self._take(answer)
        self._registration = None  # It counts once.
        self._is_registered = self._has_started = True
        self._routes, self._limit = list(routes), limit

    async def renew(self, refused: str | None, error: Unauthorized) -> None:
        """Get a token in place of the refused one, if that can be done now.

        Raises
        ------
        Unauthorized
            The error, if the token is not one that a registration gives, or that is refused too.
        """
        async with self._renewing:
            if self._client.token != refused:
                return  # Somebody else has got it meanwhile.
            if not self._is_registered:
                raise error
            self._is_registered = False
            try:
                await self.register(self._routes, self._limit)
            except ShiftworkError as failure:
                self._client.token, self._is_registered = refused, True
                if not is_transient(failure):
                    raise
                self._logger.warning("Registering again failed: %s", failure)

    async def check_in(self, routes: Sequence[str], limit: int) -> None:
        """Say that this worker is alive, and get a fresh token.

        Raises
        ------
        ShiftworkError
            If it has failed several times in a row.
        """
        if not self._is_registered:
            return
        token = self._client.token
        try:
            try:
                # Without this the server would not hear of trouble while nothing is exchanged.
                body = {"status": "error", "error": self.trouble} if self.trouble else None
                answer = await self._client.refresh_worker(self.worker_id, body)
                self._take(answer)
            except NotFound:  # The record was deleted.
                self._is_registered = False
            except Unauthorized as error:
                await self.renew(token, error)
            await self.register(routes, limit)
        except ShiftworkError as error:
            self._failures += 1
            self._logger.warning("Checking in failed: %s", error)
            if self._failures >= _MAX_FAILURES:
                self._failures = 0
                self.troubles["check-in"] = f"checking in failed: {error}"
                raise
        else:
            self._failures = 0
            self.troubles.pop("check-in", None)

    def _take(self, answer: WorkerToken) -> None:
        self._client.token = answer["token"]
        self.worker_id = answer["worker"]["worker_id"]  # Some characters are no part of ids.
        self.check_in_s = answer["check_in_s"]

    async def leave(self) -> None:
        """Say that this worker takes no more tasks."""
        await self._put({"active": False})

    async def report_trouble(self, part: str, trouble: str) -> None:
        """Say what is wrong, until the next healthy exchange."""
        self.troubles[part] = trouble
        await self._put({"status": "error", "error": self.trouble})

    async def _put(self, body: dict[str, object]) -> None:
        """Change the record, if that is possible: there is nothing to be done if not."""
        if self._is_registered:
            try:
                await self._client.put_worker(self.worker_id, body)
            except ShiftworkError as error:
                self._logger.info("The worker's record was not changed: %s", error)


class CheckIn:
    """A worker of a pool, which keeps the record alive."""

    name = "check-in"

    def __init__(self, record: WorkerRecord, workload: Workload) -> None:
        self._record = record
        self._workload = workload

    async def run(self, ctx: WorkerContext) -> None:
        """Check in until the context is cancelled."""
        while not await ctx.wait_async(self._record.check_in_s):
            await self._record.check_in(self._workload.routes, self._workload.limit)
