"""Read the `schedule` part of a workspace's body, and name every fault in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any, TypeVar

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.crons import Cron, ScheduleFault, check_zone, parse_cron
from shiftwork_core.domain.workspaces.windows import QuietHours, Window
from shiftwork_core.errors import FaultAt

#: Bounds of a time to live (the original's): a minute, thirty days.
MIN_TTL_S = 60
MAX_TTL_S = 30 * 86_400
MAX_SPREAD_S = 3600
MAX_WINDOWS = 20
MAX_HOLIDAYS = 1000
_MAX_QUIET_HOURS = 20
#: The original's.
_ACTIVITY_BUMP_S = 3600.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The `schedule` part of a workspace's body."""

    windows: tuple[Window, ...] = ()
    ttl_s: float | None = None
    manual_ttl_s: float | None = None
    max_lifetime_s: float | None = None
    activity_bump_s: float = _ACTIVITY_BUMP_S
    holidays: dict[date, str] = field(default_factory=dict)
    icalendar: str | None = None
    quiet_hours: tuple[QuietHours, ...] = ()
    spread_s: float = 0.0

    @classmethod
    def from_body(cls, body: JsonObject, check: Callable[[Cron], None] | None = None) -> Schedule:
        """Read the part; raise ScheduleFault with every fault, at paths from the workspace's body.

        `check` raises ScheduleFault for a cron text with impossible values; leave it out for a body
        that was checked before it was stored.
        """
        reader = _Reader(check)
        schedule = reader.schedule(body, "schedule")
        if reader.faults:
            raise ScheduleFault.of(reader.faults)
        return schedule


class _Reader:
    """Reads on after a fault, so that one error names them all."""

    def __init__(self, check: Callable[[Cron], None] | None) -> None:
        self.check = check
        self.faults: list[FaultAt] = []

    def fault(self, path: str, message: str) -> None:
        self.faults.append(FaultAt(path, message))

    def attempt(self, path: str, read: Callable[[], _T]) -> _T | None:
        """Return the value that `read` returns, None after a fault."""
        try:
            return read()
        except ScheduleFault as fault:
            self.fault(path, str(fault))
            return None

    def schedule(self, body: JsonObject, path: str) -> Schedule:
        ttl_s = self.ttl(body, path, "ttl_s")
        manual_ttl_s = self.ttl(body, path, "manual_ttl_s")
        windows = tuple(
            self.window(part, f"{path}.windows[{n}]")
            for n, part in enumerate(self.parts(body, path, "windows", MAX_WINDOWS))
        )
        ttls = (ttl_s, manual_ttl_s, *(window.ttl_s for window in windows))
        longest = max((ttl for ttl in ttls if ttl is not None), default=0)
        max_lifetime_s = self.number(body, path, "max_lifetime_s", MIN_TTL_S, None)
        if max_lifetime_s is not None and max_lifetime_s < longest:
            self.fault(
                f"{path}.max_lifetime_s",
                f"must be at least {longest:g}, the longest time to live, or it would end first",
            )
        spread_s = self.number(body, path, "spread_s", 0, MAX_SPREAD_S) or 0.0
        brief = [window.ttl_s for window in windows if window.ttl_s and window.ttl_s <= spread_s]
        if brief:
            self.fault(
                f"{path}.spread_s",
                f"must be less than {min(brief):g}, the ttl_s of a window, or that would be over "
                "before its turn",
            )
        bump_s = self.number(body, path, "activity_bump_s", 0, MAX_TTL_S)
        holidays = body.get("holidays") or {}
        return Schedule(
            windows=windows,
            ttl_s=ttl_s,
            manual_ttl_s=manual_ttl_s,
            max_lifetime_s=max_lifetime_s,
            activity_bump_s=_ACTIVITY_BUMP_S if bump_s is None else bump_s,
            holidays=self.dates(holidays.get("dates") or {}, f"{path}.holidays.dates"),
            icalendar=self.text(holidays, f"{path}.holidays", "icalendar"),
            quiet_hours=tuple(
                found
                for n, part in enumerate(self.parts(body, path, "quiet_hours", _MAX_QUIET_HOURS))
                if (found := self.quiet_hours(part, f"{path}.quiet_hours[{n}]"))
            ),
            spread_s=spread_s,
        )

    def parts(self, body: JsonObject, path: str, name: str, most: int) -> list[JsonObject]:
        found: list[JsonObject] = list(body.get(name) or [])
        if len(found) > most:
            self.fault(f"{path}.{name}", f"has {len(found)} entries; {most} are the most")
        return found[:most]

    def window(self, body: JsonObject, path: str) -> Window:
        start = self.cron(body, path, "start")
        stop = self.cron(body, path, "stop")
        ttl_s = self.ttl(body, path, "ttl_s")
        has = {name for name in ("start", "stop", "ttl_s") if body.get(name) is not None}
        if not has & {"start", "stop"}:
            self.fault(path, "needs a start, a stop, or both")
        elif {"stop", "ttl_s"} <= has:
            self.fault(path, "has a stop and a ttl_s; leave one out, for either says when it ends")
        elif has == {"ttl_s"}:
            self.fault(f"{path}.ttl_s", "counts from a start, which this window lacks")
        return Window(start, stop, ttl_s)

    def cron(self, body: JsonObject, path: str, name: str) -> Cron | None:
        text = body.get(name)
        if text is None:
            return None

        def read() -> Cron:
            if not isinstance(text, str):
                raise ScheduleFault("must be text, such as `CRON_TZ=Europe/Berlin 0 8 * * 1-5`")
            cron = parse_cron(text)
            if self.check is not None:
                self.check(cron)
            return cron

        return self.attempt(f"{path}.{name}", read)

    def text(self, body: JsonObject, path: str, name: str) -> str | None:
        value = body.get(name)
        if value is None or isinstance(value, str):
            return value
        self.fault(f"{path}.{name}", "must be text")
        return None

    def ttl(self, body: JsonObject, path: str, name: str) -> float | None:
        return self.number(body, path, name, MIN_TTL_S, MAX_TTL_S)

    def number(
        self, body: JsonObject, path: str, name: str, least: float, most: float | None
    ) -> float | None:
        value: Any = body.get(name)
        if value is None:
            return None
        bounds = f"at least {least:g}" if most is None else f"from {least:,g} to {most:,}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fault(f"{path}.{name}", f"must be a number of seconds {bounds}")
            return None
        if value < least or (most is not None and value > most):
            self.fault(f"{path}.{name}", f"must be {bounds} seconds, not {value:,g}")
            return None
        return float(value)

    def dates(self, given: Any, path: str) -> dict[date, str]:
        """Read dates with their names, or a list of dates, whose names are the dates."""
        names = given if isinstance(given, dict) else dict.fromkeys(map(str, given), "")
        if len(names) > MAX_HOLIDAYS:
            self.fault(path, f"has {len(names):,} dates; {MAX_HOLIDAYS:,} are the most")
            return {}
        found: dict[date, str] = {}
        for text, name in names.items():
            try:
                found[date.fromisoformat(text)] = name or text
            except ValueError:
                self.fault(f"{path}.{text[:40]}", "is no date; write it as 2026-12-25")
        return found

    def quiet_hours(self, body: JsonObject, path: str) -> QuietHours | None:
        start = self.time_of_day(body, path, "start")
        end = self.time_of_day(body, path, "end")
        name = body.get("time_zone") or "UTC"
        zone = self.attempt(f"{path}.time_zone", lambda: check_zone(str(name)))
        if start is None or end is None or zone is None:
            return None
        if start == end:
            self.fault(path, "start and end are the same; leave the entry out, or move one")
            return None
        return QuietHours(start, end, zone)

    def time_of_day(self, body: JsonObject, path: str, name: str) -> time | None:
        text = body.get(name)
        try:
            found = time.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            found = None
        if found is None or found.tzinfo is not None:
            self.fault(f"{path}.{name}", "must be a time of day, such as 22:00")
            return None
        return found
