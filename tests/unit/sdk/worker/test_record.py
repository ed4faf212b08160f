"""The worker record: registering, checking in, and expired tokens."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from shiftwork.api.async_client import AsyncShiftworkClient
from shiftwork.api.errors import ApiError, Unauthorized
from shiftwork.worker.record import CheckIn, WorkerRecord
from shiftwork.worker.task_workers import TaskWorker
from tests.unit.sdk.worker.fake_exchange import FakeExchange, until
from tests.unit.sdk.worker.fake_records import FakeRecords
from tests.unit.sdk.worker.poller_run import context, polling
from tests.unit.sdk.worker.test_poller import lasting, packer
from tests.unit.sdk.worker.virtual_time import run_virtually


def joined() -> tuple[FakeExchange, FakeRecords]:
    """Return a server that exchanges tasks and keeps records."""
    server, records = FakeExchange(), FakeRecords()
    server.other = records.handle
    return server, records


def test_a_process_registers_and_then_calls_with_the_token_that_it_gets() -> None:
    async def main() -> None:
        server, records = joined()
        tokens: list[str] = []
        async with polling(server, packer(), TaskWorker("send", lasting(1)), keep_record=True) as b:
            await until(lambda: server.calls)
            tokens.append(b.poller._client.token or "")
        assert (records.record["hostname"], records.record["build_limit"]) == ("me", 5)
        assert records.record["routes"] == ["pack", "send"]
        assert tokens == ["worker-1"]

    run_virtually(main())


def test_a_server_without_worker_records_still_gets_its_tasks_done() -> None:
    async def main() -> None:
        server = FakeExchange()
        server.add(1)
        async with polling(server, packer(), keep_record=True):
            await until(lambda: server.of("completed"))

    run_virtually(main())


def test_registering_waits_for_a_server_that_is_down() -> None:
    async def main() -> None:
        server, records = joined()
        records.failures = [httpx2.Response(503)] * 9
        async with polling(server, packer(), keep_record=True):
            await until(lambda: server.calls)
        assert records.tokens == 1

    run_virtually(main())


def test_a_stopping_worker_reports_it_while_a_call_waits_for_tasks() -> None:
    async def main() -> None:
        server, records = joined()
        async with polling(server, packer(), keep_record=True, is_waiting=True):
            await until(lambda: server.calls)
            assert "active" not in records.record
        assert records.record["active"] is False

    run_virtually(main())


def test_an_expired_token_is_renewed_and_the_call_repeated() -> None:
    async def main() -> None:
        server, records = joined()
        refuse = [httpx2.Response(401, json={"detail": "expired"})]
        async with polling(server, packer(), keep_record=True):
            await until(lambda: server.calls)
            server.before = lambda body: refuse.pop() if refuse else None
            server.add(1, 2, 3)
            await until(lambda: len(server.of("completed")) == 3)
        assert records.tokens == 2
        assert all(len(row.claims) == 1 for row in server.rows.values())

    run_virtually(main())


def test_an_error_is_reported_until_it_is_over() -> None:
    async def main() -> None:
        server, records = joined()
        async with polling(server, packer(), keep_record=True) as run:
            await until(lambda: server.calls)
            server.before = lambda body: httpx2.Response(422, json={"detail": "what?"})
            with pytest.raises(ApiError):
                await run.task
            assert (records.record["status"], records.record["error"]) == (
                "error",
                "Invalid: what?",
            )
            server.before = lambda body: None
            before = len(server.calls)
            run.task = asyncio.create_task(run.poller.run(run.ctx))
            await until(lambda: len(server.calls) > before)
        assert {call["status"] for call in server.calls[before:]} == {"ok"}

    run_virtually(main())


def test_the_runner_gives_up_when_the_last_attempt_fails() -> None:
    async def main() -> None:
        server, _ = joined()
        server.before = lambda body: httpx2.Response(404)
        given_up: list[bool] = []
        async with polling(
            server,
            packer(),
            keep_record=True,
            on_give_up=lambda: given_up.append(True),
            max_attempts=2,
        ) as run:
            with pytest.raises(ApiError):
                await run.task
            assert not given_up
            with pytest.raises(ApiError):
                await run.poller.run(context(2))
            assert given_up
            run.task = asyncio.create_task(asyncio.sleep(0))

    run_virtually(main())


# -- checking in ---------------------------------------------------------------------------------


async def checking_in(records: FakeRecords, seconds: float) -> WorkerRecord:
    """Register, check in for so long, and return the record."""
    server = FakeExchange()
    server.other = records.handle
    record = WorkerRecord(server.client(), "me")
    ctx = context()
    async with polling(FakeExchange(), packer()) as run:
        await record.register(["pack"], 4)
        checking = asyncio.create_task(CheckIn(record, run.poller.tasks).run(ctx))
        await asyncio.sleep(seconds)
        ctx.cancellation.set()
        await checking
    return record


def test_a_worker_checks_in_every_thirty_seconds_and_uses_the_fresh_token() -> None:
    async def main() -> None:
        records = FakeRecords()
        record = await checking_in(records, 100)
        assert records.paths("POST")[2:] == ["/v1/workers/me/refresh"] * 3
        assert record._client.token == "worker-4"

    run_virtually(main())


def test_a_check_in_with_an_expired_token_registers_again() -> None:
    async def main() -> None:
        records = FakeRecords()
        records.refused = {"worker-1"}
        await checking_in(records, 40)
        assert records.paths("POST").count("/v1/workers") == 2

    run_virtually(main())


def test_a_worker_whose_record_was_deleted_registers_again() -> None:
    async def main() -> None:
        records = FakeRecords()
        made: list[int] = []

        async def later() -> None:
            await asyncio.sleep(25)
            records.failures = [httpx2.Response(404)]
            made.append(records.tokens)

        await asyncio.gather(checking_in(records, 40), later())
        assert made == [1]
        assert records.paths("POST").count("/v1/workers") == 2

    run_virtually(main())


def test_a_worker_whose_tasks_changed_updates_its_record() -> None:
    async def main() -> None:
        server, records = joined()
        async with polling(server, packer(), keep_record=True) as run:
            await until(lambda: server.calls)
            run.poller.tasks.add(TaskWorker("send", lasting(1)))
            checking = CheckIn(run.poller._record, run.poller.tasks)
            running = asyncio.create_task(checking.run(run.ctx))
            await asyncio.sleep(40)
        await running
        assert (records.record["routes"], records.record["build_limit"]) == (["pack", "send"], 5)

    run_virtually(main())


def test_repeated_failed_check_ins_are_an_error() -> None:
    async def main() -> None:
        records = FakeRecords()

        async def away() -> None:
            await asyncio.sleep(25)
            records.failures = [httpx2.Response(500)] * 100

        with pytest.raises(ApiError):
            await asyncio.gather(checking_in(records, 1000), away())

    run_virtually(main())


def test_a_token_from_elsewhere_than_a_registration_is_not_renewed() -> None:
    async def main() -> None:
        record = WorkerRecord(FakeExchange().client(), "me", is_kept=False)
        await record.register(["pack"], 1)
        with pytest.raises(Unauthorized, match="no"):
            await record.renew("a-token", Unauthorized(401, "no"))

    run_virtually(main())


def test_a_process_that_has_just_started_reports_that_it_holds_nothing() -> None:
    async def main() -> None:
        records = FakeRecords()
        transport = httpx2.MockTransport(records.handle)
        async with AsyncShiftworkClient(
            "http://shiftwork.test", "a-token", transport=transport
        ) as c:
            record = WorkerRecord(c, "me")
            await record.register(["pack"], 1)
            records.refused.add("worker-1")
            await record.check_in(["pack"], 1)
        bodies = [body for _, path, body in records.calls if path == "/v1/workers"]
        assert [body.get("running_build_ids") for body in bodies] == [[], None]

    run_virtually(main())
