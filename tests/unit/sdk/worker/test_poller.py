"""The exchange loop in virtual time: what it sends, and when, whatever calls are lost."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork.api.errors import NotFound, Unauthorized
from shiftwork.worker.pauses import LONGEST_PAUSE_S
from shiftwork.worker.task import Failure, Task, TaskResult, TaskStatus
from shiftwork.worker.task_workers import TaskWorker
from tests.unit.sdk.worker.fake_exchange import Answer, FakeExchange, now, until
from tests.unit.sdk.worker.poller_run import PollerRun, context, polling
from tests.unit.sdk.worker.virtual_time import run_virtually


async def short(task: Task) -> dict[str, Any]:
    return {"packed": task.params}


async def endless(task: Task) -> None:
    await asyncio.get_running_loop().create_future()


def lasting(seconds: float) -> Any:
    async def last(task: Task) -> None:
        await asyncio.sleep(seconds)

    return last


def packer(function: Any = short, batch_size: int = 4, **options: Any) -> TaskWorker:
    return TaskWorker("pack", function, batch_size, **options)


# -- getting and handing in ----------------------------------------------------------------------


def test_every_task_is_done_and_reported_once() -> None:
    async def main() -> None:
        server = FakeExchange()
        server.add(*range(50))
        async with polling(server, packer()):
            await until(lambda: len(server.of("completed")) == 50)
        assert all(len(row.claims) == 1 and row.late == 0 for row in server.rows.values())
        assert [row.output for row in server.rows.values()] == [{"packed": n} for n in range(50)]

    run_virtually(main())


def test_results_travel_with_the_next_wants() -> None:
    async def main() -> None:
        server = FakeExchange()
        server.add(*range(40))
        async with polling(server, packer(batch_size=10)):
            await until(lambda: len(server.of("completed")) == 40)
            assert len(server.calls) <= 6  # 4 tens of tasks, the first call, and the wait after.

    run_virtually(main())


def test_one_call_serves_all_workers_of_the_process() -> None:
    async def main() -> None:
        server = FakeExchange()
        server.add(1, 2, type="pack")
        server.add(3, 4, type="send")
        async with polling(server, packer(), TaskWorker("send", short, 2, domain="eu")):
            await until(lambda: len(server.of("completed")) == 4)
            assert len(server.calls) == 2
        assert server.calls[0]["wants"] == [
            {"type": "pack", "count": 4, "domain": None},
            {"type": "send", "count": 2, "domain": "eu"},
        ]

    run_virtually(main())


def test_the_poller_asks_for_no_more_tasks_than_it_has_room_for() -> None:
    async def main() -> None:
        server = FakeExchange()
        server.add(*range(100))
        held: list[int] = []

        async def work(task: Task) -> None:
            held.append(1)
            assert len(held) <= 3
            await asyncio.sleep(random.random())
            held.pop()

        async with polling(server, packer(work, batch_size=3)):
            await until(lambda: len(server.of("completed")) == 100)

    run_virtually(main())


def test_a_short_task_is_not_held_up_by_a_long_one() -> None:
    async def main() -> None:
        server = FakeExchange()

        async def work(task: Task) -> None:
            await asyncio.sleep(task.params)

        slow, fast = server.add(50, 1)
        async with polling(server, packer(work)):
            await until(lambda: server.rows[fast].ends)
            assert server.rows[fast].ends[0] - server.rows[fast].claims[0] < 1.1
            assert server.rows[slow].status == "inprogress"
            await until(lambda: server.rows[slow].ends)

    run_virtually(main())


def test_a_result_does_not_wait_for_a_call_that_waits_for_tasks() -> None:
    async def main() -> None:
        server = FakeExchange()
        (task_id,) = server.add(1)
        async with polling(server, packer(lasting(5.0)), is_waiting=True):
            ended_at = await until(lambda: server.rows[task_id].ends)
            assert ended_at - server.rows[task_id].claims[0] < 5.1

    run_virtually(main())


def test_room_that_appears_while_a_call_waits_gets_a_call_of_its_own() -> None:
    async def main() -> None:
        server = FakeExchange()
        (task_id,) = server.add(1, type="book")

        async def ask(task: Task) -> TaskResult:
            await asyncio.sleep(1)
            if task.poll_count == 5:
                return TaskResult()
            return TaskResult.in_progress(3)

        workers = [packer(), TaskWorker("book", ask)]
        async with polling(server, *workers, is_waiting=True):
            await until(lambda: server.of("completed"))
        row = server.rows[task_id]
        ends_and_claims = zip(row.ends, row.claims[1:], strict=False)
        assert max(claim - end for end, claim in ends_and_claims) < 4

    run_virtually(main())


def test_calls_that_wait_for_different_types_merge_into_one() -> None:
    async def main() -> None:
        server = FakeExchange()
        types = ["a", "b", "c", "d", "e", "f"]
        workers = [TaskWorker(type_, lasting(1.0 + n)) for n, type_ in enumerate(types)]
        async with polling(server, *workers, is_waiting=True):
            for type_ in types:
                server.add(1, type=type_)
                await asyncio.sleep(0.7)
            await until(lambda: len(server.of("completed")) == 6)
            await asyncio.sleep(25)
            before = len(server.calls)
            await asyncio.sleep(200)
            assert len(server.calls) - before <= 11
            assert len(server.calls[-1]["wants"]) == 6

    run_virtually(main())


# -- idle ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("long_poll", "waits", "calls"),
    [(True, True, range(30, 32)), (True, False, range(150, 201)), (False, True, range(150, 201))],
    ids=str,
)
def test_an_idle_process_calls_every_three_to_four_seconds_or_waits_at_the_server(
    long_poll: bool, waits: bool, calls: range
) -> None:
    async def main() -> None:
        server = FakeExchange()
        server.waits = waits  # One that answers at once, as it does if the worker is drained.
        async with polling(server, packer(), is_waiting=long_poll):
            await asyncio.sleep(60)
            before = len(server.calls)
            await asyncio.sleep(600)
            assert len(server.calls) - before in calls

    run_virtually(main())


def test_idle_workers_of_a_process_share_its_polls_and_hold_no_call_at_the_server() -> None:
    async def main() -> None:
        server = FakeExchange()
        workers = [TaskWorker(f"type-{n}", short, 8) for n in range(20)]
        async with polling(server, *workers):
            await asyncio.sleep(600)
        assert {call["wait_s"] for call in server.calls} == {0}
        assert len(server.calls) <= 206  # As for one type: every 3 to 4 s after the first seconds.

    run_virtually(main())


def test_a_first_task_waits_two_seconds_on_average_and_never_longer_than_the_pause() -> None:
    async def main() -> None:
        server = FakeExchange()
        delays = []
        draw = random.Random(1)
        async with polling(server, packer()):
            for _ in range(200):
                await asyncio.sleep(draw.uniform(20, 90))
                due = now()
                (task_id,) = server.add(1)
                await until(lambda row=server.rows[task_id]: row.ends)  # type: ignore[misc]
                delays.append(server.rows[task_id].claims[0] - due)
        assert 1.4 < sum(delays) / len(delays) < 2.1
        assert max(delays) < LONGEST_PAUSE_S + 0.1

    run_virtually(main())


def test_with_long_polling_the_first_task_of_a_burst_starts_within_a_second() -> None:
    async def main() -> None:
        server = FakeExchange()
        delays = []
        draw = random.Random(1)
        async with polling(server, packer(), is_waiting=True):
            for _ in range(100):
                await asyncio.sleep(draw.uniform(0, 90))
                due = now()
                (task_id,) = server.add(1)
                await until(lambda row=server.rows[task_id]: row.ends)  # type: ignore[misc]
                delays.append(server.rows[task_id].claims[0] - due)
        assert sorted(delays)[94] < 1

    run_virtually(main())


def test_the_interval_is_the_floor_of_the_pauses_and_a_task_ends_them() -> None:
    async def main() -> None:
        server = FakeExchange()
        async with polling(server, packer(poll_interval_s=2.0)):
            await asyncio.sleep(100)
            gaps = [b - a for a, b in pairwise(server.times)]
            assert min(gaps) >= 2
            assert max(gaps) <= LONGEST_PAUSE_S + 0.1
            server.add(*range(20))
            begun = await until(lambda: server.of("completed"), within_s=5)
            ended = await until(lambda: len(server.of("completed")) == 20)
            assert ended - begun < 1
            before = len(server.times)
            await asyncio.sleep(2.9)  # The first pause after work is the shortest again.
            assert len(server.times) > before

    run_virtually(main())


# -- long tasks ----------------------------------------------------------------------------------


def test_the_lease_of_a_long_task_is_renewed() -> None:
    async def main() -> None:
        server = FakeExchange(response_timeout_s=10)
        (task_id,) = server.add(1)
        async with polling(server, packer(lasting(300.0))):
            await until(lambda: server.rows[task_id].ends)
        assert server.rows[task_id].status == "completed"
        assert len(server.rows[task_id].claims) == 1

    run_virtually(main())


def test_the_lease_is_renewed_before_a_third_of_it_is_over() -> None:
    async def main() -> None:
        server = FakeExchange(response_timeout_s=30)
        (task_id,) = server.add(1)
        async with polling(server, packer(lasting(100.0), batch_size=1)):
            await until(lambda: server.rows[task_id].ends)
        signs = [t for t, call in zip(server.times, server.calls, strict=True) if call["running"]]
        times = [server.rows[task_id].claims[0], *signs]
        assert max(b - a for a, b in pairwise(times)) < 10
        assert len(signs) <= 12

    run_virtually(main())


def test_a_task_in_progress_is_requeued_and_comes_back_with_its_output() -> None:
    async def main() -> None:
        server = FakeExchange()
        (task_id,) = server.add(1)

        async def work(task: Task) -> TaskResult:
            if not task.output:
                return TaskResult.in_progress(60, {"so far": 1}, logs=["half"])
            return TaskResult(output={"rounds": task.poll_count, **task.output})

        async with polling(server, packer(work)):
            await until(lambda: server.of("completed"))
        row = server.rows[task_id]
        assert row.output == {"so far": 1, "rounds": 2}
        assert row.claims[1] - row.ends[0] >= 60
        assert row.lines == ["half"]

    run_virtually(main())


def test_the_log_of_a_long_task_arrives_while_it_runs() -> None:
    async def main() -> None:
        server = FakeExchange(response_timeout_s=30)
        (task_id,) = server.add(1)

        async def work(task: Task) -> None:
            task.log("begun")
            await asyncio.sleep(100)
            task.log("done")

        async with polling(server, packer(work)):
            logged_at = await until(lambda: server.rows[task_id].lines)
            assert logged_at - server.rows[task_id].claims[0] < 10
            await until(lambda: server.of("completed"))
        assert server.rows[task_id].lines == ["begun", "done"]

    run_virtually(main())


@pytest.mark.parametrize("long_poll", [True, False])
def test_lines_arrive_while_results_of_other_tasks_keep_renewing_the_lease(long_poll: bool) -> None:
    """Every exchange renews all leases, so a renewal of its own may never become due."""

    async def main() -> None:
        server = FakeExchange(response_timeout_s=30)
        (task_id,) = server.add(1, type="slow")

        async def work(task: Task) -> None:
            task.log("begun")
            await asyncio.sleep(100)

        workers = [TaskWorker("slow", work), packer(lasting(0.5), 1)]
        async with polling(server, *workers, is_waiting=long_poll):
            await until(lambda: server.rows[task_id].claims)
            server.add(*range(60), type="pack")
            logged_at = await until(lambda: server.rows[task_id].lines)
            assert logged_at - server.rows[task_id].claims[0] < 11
            assert server.rows[task_id].status == "inprogress"

    run_virtually(main())


@pytest.mark.parametrize("logs", [False, True])
def test_a_task_whose_request_has_ended_is_told_to_stop(logs: bool) -> None:
    async def main() -> None:
        server = FakeExchange()
        (task_id,) = server.add(1)
        told: list[float] = []

        async def work(task: Task) -> None:
            if logs:
                task.log("a line, which is a report of its own")
            await task.stop.wait_async()
            told.append(now())

        async with polling(server, packer(work)):
            await until(lambda: server.of("inprogress"))
            cancelled_at = now()
            server.cancelled.add(task_id)
            await until(lambda: told)
        assert told[0] - cancelled_at < 25

    run_virtually(main())


# -- what goes wrong -----------------------------------------------------------------------------


def meddling(server: FakeExchange, *answers: Answer, where: str) -> None:
    """Answer the first calls with these instead."""
    left = list(answers)
    setattr(server, where, lambda body: left.pop(0) if left else None)


LOST: list[Answer] = [
    httpx2.ReadTimeout("lost"),
    httpx2.ConnectError("refused"),
    httpx2.Response(503),
    httpx2.Response(429, headers={"Retry-After": "3"}),
    httpx2.Response(500),
    httpx2.Response(200, text="<html>"),
]


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("answer", LOST, ids=["lost", "refused", "503", "429", "500", "html"])
def test_a_lost_call_is_repeated_unchanged(where: str, answer: Answer) -> None:
    async def main() -> None:
        server = FakeExchange()
        meddling(server, *[answer] * 3, where=where)
        server.add(*range(10))
        async with polling(server, packer()):
            await until(lambda: len(server.of("completed")) == 10)
        first, *repeated = server.calls[:4]
        assert repeated == [first] * 3
        assert all(len(row.claims) == 1 and row.late == 0 for row in server.rows.values())

    run_virtually(main())


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 8), st.booleans())
def test_no_task_is_lost_or_done_twice_whatever_calls_are_lost(
    draw: random.Random, batch_size: int, long_poll: bool
) -> None:
    async def main() -> None:
        server = FakeExchange(response_timeout_s=1000)

        def meddle(body: dict[str, Any]) -> Answer | None:
            return draw.choice(LOST) if draw.random() < 0.2 and now() < 300 else None

        server.before = server.after = meddle
        server.add(*[draw.choice([0, 0.01, 0.5, 7]) for _ in range(30)])
        done: list[str] = []

        async def work(task: Task) -> None:
            await asyncio.sleep(task.params)
            done.append(task.task_id)

        async with polling(server, packer(work, batch_size), is_waiting=long_poll):
            await until(lambda: len(server.of("completed")) == 30, 3000, every_s=1)
        assert sorted(done) == sorted(server.rows)
        assert all(len(row.claims) == len(row.ends) == 1 for row in server.rows.values())

    run_virtually(main())


def test_a_refused_result_fails_its_own_task_only() -> None:
    async def main() -> None:
        server = FakeExchange()

        def refuse(body: dict[str, Any]) -> Answer | None:
            outputs = [result["output"].get("packed") for result in body["results"]]
            return httpx2.Response(413, json={"detail": "too large"}) if 3 in outputs else None

        server.before = refuse
        ids = server.add(*range(8))
        async with polling(server, packer()):
            await until(lambda: not server.of("new") and not server.of("inprogress"))
        row = server.rows[ids[3]]
        assert row.status == "failed_with_terminal_error"
        assert row.reason == "The result was refused: too large"
        assert len(server.of("completed")) == 7

    run_virtually(main())


class Unwilling:
    """A model that will not say what it holds."""

    def model_validate(self) -> None: ...

    def model_dump(self, mode: str) -> Any:
        raise LookupError("not today")


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"a": object()}, "not JSON"),
        ({"a": "half \udc80"}, "half a surrogate pair"),
        (Unwilling(), "not today"),
    ],
    ids=["object", "text", "model"],
)
def test_an_output_that_is_not_json_fails_its_task(
    output: Any, reason: str, unlogged: None
) -> None:
    async def main() -> None:
        server = FakeExchange()
        (task_id,) = server.add(1)

        async def work(task: Task) -> Any:
            return output

        async with polling(server, packer(work)):
            await until(lambda: server.of("failed"))
        assert reason in server.rows[task_id].reason

    run_virtually(main())


class Mute:
    """A value that will not say what it is."""

    def __str__(self) -> str:
        raise LookupError("not today")


class Quitter:
    """A model that ends the process when it is asked what it holds."""

    def model_validate(self) -> None: ...

    def model_dump(self, mode: str) -> Any:
        raise SystemExit(3)


def odd(**fields: Any) -> TaskResult:
    """Return a result with values of other types than it says."""
    return TaskResult(**fields)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (odd(logs=None), "TypeError"),
        (odd(logs=[Mute()]), "LookupError"),
        (odd(reason=Mute()), "LookupError"),
        (odd(status="DONE"), "ValueError"),
        (odd(output=Quitter()), "SystemExit"),
    ],
    ids=["logs", "line", "reason", "status", "output"],
)
def test_a_result_that_cannot_be_read_fails_its_task_and_no_worker(
    result: Any, reason: str, unlogged: None
) -> None:
    async def main() -> None:
        server = FakeExchange()
        (task_id,) = server.add(1)

        async def work(task: Task) -> Any:
            return result

        async with polling(server, packer(work)):
            await until(lambda: server.of("failed"))
        assert server.rows[task_id].reason.startswith(f"{reason}: ")

    run_virtually(main())


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), "soon", 10**400, None], ids=range(5))
def test_a_worker_lives_whatever_texts_and_delays_a_function_gives(delay: Any) -> None:
    """A report is written as JSON in UTF-8; what that cannot write must not end the process."""

    async def main() -> None:
        server = FakeExchange()
        first, second = server.add(1, 2)

        async def work(task: Task) -> Any:
            task.log("half \udc80")
            if task.params == 1 and task.poll_count == 1:
                half = "half \udc80"
                return TaskResult(TaskStatus.IN_PROGRESS, None, half * 10_000, delay, [half])
            return {"packed": task.params}

        async with polling(server, packer(work)):
            await until(lambda: len(server.of("completed")) == 2)
        assert server.rows[first].status == server.rows[second].status == "completed"

    run_virtually(main())


def test_a_missing_route_or_a_refused_token_ends_the_poller() -> None:
    async def main() -> None:
        for answer, kind in (
            (httpx2.Response(404), NotFound),
            (httpx2.Response(401), Unauthorized),
        ):
            server = FakeExchange()
            meddling(server, answer, where="before")
            with pytest.raises(kind):
                async with polling(server, packer()) as run:
                    await run.task

    run_virtually(main())


def test_the_next_execution_continues_after_a_failed_one() -> None:
    async def main() -> None:
        server = FakeExchange()
        server.add(*range(4))
        async with polling(server, packer(lasting(5.0))) as run:
            await until(lambda: len(server.of("inprogress")) == 4)
            run.task.cancel()
            await asyncio.wait([run.task])
            await asyncio.sleep(10)
            assert len(server.of("inprogress")) == 4
            run.task = asyncio.create_task(run.poller.run(context(2, run.ctx.cancellation)))
            await until(lambda: len(server.of("completed")) == 4)
        assert all(len(row.claims) == 1 for row in server.rows.values())

    run_virtually(main())


# -- stopping ------------------------------------------------------------------------------------


async def stopped(run: PollerRun) -> float:
    """Stop the poller; return how long that took."""
    begun = now()
    run.stop()
    await run.task
    return now() - begun


def test_a_stopping_poller_claims_nothing_and_lets_tasks_end() -> None:
    async def main() -> None:
        server = FakeExchange()
        server.add(*range(20))
        async with polling(server, packer(lasting(5.0))) as run:
            await until(lambda: len(server.of("inprogress")) == 4)
            assert await stopped(run) < 6
        assert (len(server.of("completed")), len(server.of("new"))) == (4, 16)

    run_virtually(main())


def test_tasks_that_do_not_end_in_time_are_given_back() -> None:
    async def main() -> None:
        server = FakeExchange()
        server.add(*range(20))
        told: list[Task] = []

        async def work(task: Task) -> None:
            await task.stop.wait_async()
            told.append(task)

        async with polling(server, packer(work), grace_s=10) as run:
            await until(lambda: len(server.of("inprogress")) == 4)
            assert 10 <= await stopped(run) < 11
        assert len(server.of("new")) == 20
        assert len(told) == 4
        assert {row.fence for row in server.rows.values()} == {0, 1}

    run_virtually(main())


def test_tasks_are_given_back_at_once_when_asked_to_and_use_up_no_attempt() -> None:
    async def main() -> None:
        server = FakeExchange()
        server.add(1)
        async with polling(server, packer(lasting(60.0)), grace_s=30) as run:
            await until(lambda: len(server.of("inprogress")) == 1)
            run.stop()
            await asyncio.sleep(1)
            run.poller.give_back_now()
            assert await stopped(run) < 2
        (row,) = server.rows.values()
        assert (row.status, row.attempt) == ("new", 1)

    run_virtually(main())


async def broken(task: Task) -> Any:
    return [][0]


async def refused(task: Task) -> Any:
    raise Failure("there is\nno road")


async def patient(task: Task) -> Any:
    return TaskResult.in_progress(9)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (short, "done"),
        (patient, "put back for 9 s"),
        (broken, "failed: IndexError: list index out of range; its type may retry it"),
        (refused, "failed for good: there is no road"),
    ],
)
def test_the_process_s_log_tells_when_a_task_starts_and_how_it_ends(
    function: Any, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        server = FakeExchange()
        [task_id] = server.add(1)
        async with polling(server, packer(function)):
            await until(lambda: server.rows[task_id].ends)

    with caplog.at_level("INFO", "shiftwork.worker.tasks"):
        run_virtually(main())
    lines = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert lines == ["pack started, pack of r-1.1.0.1", f"pack {told}, after 0.0 s"]


def test_tasks_claimed_while_stopping_are_given_back() -> None:
    async def main() -> None:
        server = FakeExchange()
        async with polling(server, packer(), is_waiting=True) as run:
            await asyncio.sleep(5)
            run.stop()
            await asyncio.sleep(1)
            server.add(1)
            await run.task
        (row,) = server.rows.values()
        assert (row.status, row.poll_count) == ("new", 1)

    run_virtually(main())


def test_a_poller_stops_even_if_the_server_does_not_answer() -> None:
    async def main() -> None:
        server = FakeExchange()
        server.add(1)
        async with polling(server, packer(endless), grace_s=10) as run:
            await until(lambda: server.of("inprogress"))
            server.before = lambda body: httpx2.ConnectError("refused")
            assert await stopped(run) < 16

    run_virtually(main())
