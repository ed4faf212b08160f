"""Run calls side by side in virtual time: each is an actor of the caller's process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial

from shiftwork_core.ports.world import Key, Result
from shiftwork_platform.cloud.hub import Group, Hub, Signal


def side_by_side(
    hub: Hub,
    group: Group,
    calls: Mapping[Key, Callable[[], Result]],
    tick_s: Callable[[], float],
) -> Iterator[Mapping[Key, Future[Result]]]:
    """Start every call as an actor of the group; see `ports.world.SideBySide`."""
    ended: dict[Key, Future[Result]] = {}
    news = [Signal(hub)]

    def work(key: Key, call: Callable[[], Result]) -> None:
        future: Future[Result] = Future()
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)
        ended[key] = future
        news[0].set()

    name = hub.actor.name
    for number, (key, call) in enumerate(calls.items()):
        hub.spawn(f"{name}/{number}", partial(work, key, call), group)
    left = len(calls)
    while left:
        hub.wait(news[0], tick_s())
        news[0] = Signal(hub)
        batch = {key: ended.pop(key) for key in list(ended)}
        left -= len(batch)
        yield batch
