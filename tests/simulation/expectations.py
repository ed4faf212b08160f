"""Compute from their bodies where workspaces should be once the faults are over.

Nothing that the platform computes is used. Only what is certain is claimed: what holds of a
workspace once the effects of people, faults and failures on it are over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.records import Cause, Workspace
from tests.simulation.workspace_workload import comes_up

#: How long the claim of a dead holder lasts, and until the tick after that.
LEASE_S = 60.0
TICK_S = 60.0
#: Time for a driver's call, a message, and clocks that are off.
MOMENT_S = 15.0
#: How far back windows are looked for: more than the longest period.
_LOOK_BACK = timedelta(hours=1)
#: In a simulation: after how long a workspace that could not be seen is checked again, and the
#: longest that one is blocked whose jobs have failed.
LOOK_AGAIN = timedelta(seconds=60)
LONGEST_BLOCK = timedelta(seconds=120)
#: How long after its start a window without an end counts as open.
GRACE = timedelta(minutes=3)
#: The longest time between two checks of a workspace with windows.
LONGEST_PERIOD_S = 600.0


@dataclass(frozen=True, slots=True)
class Opening:
    """A window is open from `start` until before `end`; None if it has no end."""

    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a workspace should be at a time, by its body and its target's speed alone."""

    body: JsonObject
    takes_s: float

    @property
    def prompt_s(self) -> float:
        """How long a switch may take without faults, if a tick has to find it."""
        hosts = self.body.get("hosts", {"drain_timeout_s": 0})
        schedule = self.body["schedule"]
        drain_s = float(hosts["drain_timeout_s"]) + (MOMENT_S if "workers" in hosts else 0)
        return TICK_S + 2 * self.takes_s + MOMENT_S + drain_s + float(schedule.get("spread_s", 0))

    @property
    def recovery_s(self) -> float:
        """How long the effects of faults may last: a claim, a start or stop, a retry."""
        tries_s = float(self.body["verify_timeout_s"]) + float(self.body["retry"]["max_delay_s"])
        return LEASE_S + tries_s + 2 * self.prompt_s + LOOK_AGAIN.total_seconds()

    @property
    def look_s(self) -> float | None:
        """How long after an unreported change the platform sees it; None if it never does."""
        if "hosts" in self.body:
            return 2 * TICK_S
        windows = self.body["schedule"]["windows"]
        return LONGEST_PERIOD_S + GRACE.total_seconds() if windows else None

    def should_be_on(self, at: datetime, quiet_since: datetime) -> bool | None:
        """Return whether it should be on; None if that is not certain."""
        openings, stops = list(self._openings(at)), list(self._stops(at))
        if any(self._keeps_on(opening, stops, at, quiet_since) for opening in openings):
            return True
        return False if self._is_stopped(openings, stops, at, quiet_since) else None

    def _keeps_on(
        self, opening: Opening, stops: list[datetime], at: datetime, quiet_since: datetime
    ) -> bool:
        """Return whether a window has been open for a while, and nothing ends it sooner."""
        schedule, prompt = self.body["schedule"], _s(self.prompt_s)
        is_idle_stopped = self.body.get("hosts", {}).get("idle_timeout_s") is not None
        if is_idle_stopped or "max_lifetime_s" in schedule:
            return False
        if opening.end is None and any("ttl_s" in window for window in schedule["windows"]):
            return False  # A workspace that ran already keeps the end that it was given then.
        if opening.start <= quiet_since or at < opening.start + prompt:
            return False
        # A window without an end does not put off a late stop.
        ends = [opening.end] if opening.end else [t for t in stops if t > opening.start - prompt]
        if "ttl_s" in schedule:
            ends.append(opening.start + _s(schedule["ttl_s"]))
        return all(at < end for end in ends)

    def _is_stopped(
        self,
        openings: list[Opening],
        stops: list[datetime],
        at: datetime,
        quiet_since: datetime,
    ) -> bool:
        """Return whether the last scheduled event was a stop, a while ago."""
        prompt, spread = _s(self.prompt_s), _s(self.body["schedule"].get("spread_s", 0))
        last_stop = max((t for t in stops if quiet_since < t), default=None)
        if last_stop is None:
            return False
        for opening in openings:
            is_put_off = opening.end is not None and opening.end + spread > last_stop
            if is_put_off or opening.start + spread >= last_stop:
                return False
            if opening.start + prompt >= last_stop:
                # Its start may come after the stop, which then waits for it.
                prompt = 2 * _s(self.prompt_s)
        return last_stop + prompt <= at

    def _openings(self, at: datetime) -> Iterator[Opening]:
        """Yield the windows that have begun before a time and not long ago."""
        for window in self.body["schedule"]["windows"]:
            if "start" not in window:
                continue
            for start in _times(window["start"], at - _LOOK_BACK, at):
                if "ttl_s" in window:
                    yield Opening(start, start + _s(window["ttl_s"]))
                elif "stop" in window:
                    yield Opening(start, next(_times(window["stop"], start, None)))
                else:
                    yield Opening(start, None)

    def _stops(self, at: datetime) -> Iterator[datetime]:
        for window in self.body["schedule"]["windows"]:
            if "stop" in window:
                yield from _times(window["stop"], at - _LOOK_BACK, at)


def _times(text: str, after: datetime, until: datetime | None) -> Iterator[datetime]:
    """Yield when a cron text comes up after one time and until another."""
    first, period = comes_up(text)
    found = after.replace(minute=0, second=0, microsecond=0) + first
    while until is None or found <= until:
        if found > after:
            yield found
        found += period


def _s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def acted_until(row: Workspace) -> list[datetime]:
    """Return the times until which people and failures have an effect, by the row."""
    times = [row.blocked_until, *row.skipped.values()]
    if row.started_by is not Cause.SCHEDULE:
        times.append(row.deadline)
    if row.override is not None:
        times.append(row.override.until)
    return [at for at in times if at is not None]
