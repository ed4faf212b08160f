"""Register this process as a worker, check in, and keep the token that the server issues."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence

from shiftwork.api.async_client import AsyncShiftworkClient
from shiftwork.api.errors import ApiError, NotFound, ShiftworkError, Unauthorized
from shiftwork.api.retries import is_transient
from shiftwork.api.shapes import WorkerToken
from shiftwork.worker.context import LOGGER, WorkerContext
from shiftwork.worker.tasks_in_hand import TasksInHand

#: How often to check in, until the server says how often.
_CHECK_IN_S = 30.0
#: So many failed check-ins in a row are an error.
_MAX_FAILURES = 3
#: The statuses with which a server without worker records answers.
_NO_RECORDS = (404, 405, 501)


class WorkerRecord:
    """The record that the server keeps of this process as a worker, if it keeps any.

    Parameters
    ----------
    registration
        A registration token; None: the client's token gets one.
    is_kept
        Whether to register at all.

    Attributes
    ----------
    troubles
        What is wrong with this worker, by the part of it that reported it.
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
        """Create or update the record: what this worker does. Use the token that comes with it."""
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
                # The server requeues what an earlier process of this name held.
                running_build_ids=None if self._has_started else [],
            )
        except ApiError as error:
            if error.status not in _NO_RECORDS:
                raise
            self._logger.info("This Shiftwork keeps no records of workers.")
            self._is_kept = False
            return
        self._apply(answer)
        self._registration = None  # It works once.
        self._is_registered = self._has_started = True
        self._routes, self._limit = list(routes), limit

    async def renew(self, refused: str | None, error: Unauthorized) -> None:
        """Replace the refused token by registering again, if the server answers.

        Raises
        ------
        Unauthorized
            If the refused token did not come from a registration, or registering is refused too.
        """
        async with self._renewing:
            if self._client.token != refused:
                return  # Another call has replaced it.
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
        """Report that this worker is alive, and get a fresh token.

        Raises
        ------
        ShiftworkError
            If checking in has failed several times in a row.
        """
        if not self._is_registered:
            return
        token = self._client.token
        try:
            try:
                # While nothing is exchanged, this alone tells the server what is wrong.
                body = {"status": "error", "error": self.trouble} if self.trouble else None
                answer = await self._client.refresh_worker(self.worker_id, body)
                self._apply(answer)
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

    def _apply(self, answer: WorkerToken) -> None:
        self._client.token = answer["token"]
        self.worker_id = answer["worker"]["worker_id"]  # The server replaces some characters.
        self.check_in_s = answer["check_in_s"]

    async def leave(self) -> None:
        """Report that this worker takes no more tasks."""
        await self._put({"active": False})

    async def report_trouble(self, part: str, trouble: str) -> None:
        """Report what is wrong; the record shows it until the next healthy exchange."""
        self.troubles[part] = trouble
        await self._put({"status": "error", "error": self.trouble})

    async def _put(self, body: dict[str, object]) -> None:
        """Change the record; if the server refuses, log that and continue."""
        if self._is_registered:
            try:
                await self._client.put_worker(self.worker_id, body)
            except ShiftworkError as error:
                self._logger.info("The worker's record was not changed: %s", error)


class CheckIn:
    """A worker of a pool that checks in at intervals."""

    name = "check-in"

    def __init__(self, record: WorkerRecord, tasks: TasksInHand) -> None:
        self._record = record
        self._tasks = tasks

    async def run(self, ctx: WorkerContext) -> None:
        """Check in until the context is cancelled."""
        while not await ctx.wait_async(self._record.check_in_s):
            await self._record.check_in(self._tasks.routes, self._tasks.limit)
