"""The asyncio client: the same methods, answers and repeats as the sync one."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx2
import pytest

from shiftwork.api.async_client import AsyncShiftworkClient
from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import NotFound, Unreachable
from tests.unit.sdk.fake_api import TOKEN, URL, FakeApi, attempt, problem, request

T = TypeVar("T")
#: Members of the client that are not calls of the API.
_OWN = {"close", "send", "items"}


def use(api: FakeApi, work: Callable[[AsyncShiftworkClient], Awaitable[T]]) -> T:
    """Run the work with a client, without real waits; return its result."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    async def run() -> T:
        transport = httpx2.MockTransport(api.handle)
        async with AsyncShiftworkClient(URL, TOKEN, transport=transport, sleep=sleep) as client:
            return await work(client)

    return asyncio.run(run())


def methods(client: type) -> dict[str, Any]:
    found = inspect.getmembers(client, inspect.isfunction)
    return {name: method for name, method in found if name[0] != "_" and name not in _OWN}


def test_both_clients_have_the_same_methods() -> None:
    assert methods(AsyncShiftworkClient).keys() == methods(ShiftworkClient).keys()
    for name, method in methods(AsyncShiftworkClient).items():
        other = methods(ShiftworkClient)[name]
        assert inspect.signature(method) == inspect.signature(other), name
        assert method.__doc__ == other.__doc__


def test_a_call_is_awaited(api: FakeApi) -> None:
    api.lives["r-1"] = [request()]
    assert use(api, lambda client: client.get("r-1"))["request_id"] == "r-1"
    assert api.calls[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_list_yields_the_items_of_every_page(api: FakeApi) -> None:
    api.lives["r-1"] = [request()]
    api.attempts = [attempt(number, "completed") for number in range(5)]

    async def jobs(client: AsyncShiftworkClient) -> list[str]:
        return [job["job"] async for job in client.jobs("r-1")]

    assert use(api, jobs) == [f"greet[{number}]" for number in range(5)]
    assert len(api.calls) == 3


def test_a_safe_call_is_repeated(api: FakeApi) -> None:
    api.lives["r-1"] = [request()]
    api.interruptions = [
        httpx2.ReadTimeout("lost"),
        problem(503, "busy"),
        problem(429, "slow down"),
    ]
    use(api, lambda client: client.submit("greet"))
    assert len({call.headers["Idempotency-Key"] for call in api.calls}) == 1
    assert len(api.calls) == 4


def test_an_unsafe_call_is_not_repeated(api: FakeApi) -> None:
    api.interruptions = [httpx2.ReadTimeout("lost")]
    with pytest.raises(Unreachable, match="lost") as caught:
        use(api, lambda client: client.retry("r-1"))
    assert isinstance(caught.value.__cause__, httpx2.ReadTimeout)
    with pytest.raises(NotFound):
        use(api, lambda client: client.get("r-2"))
    assert len(api.calls) == 2
