"""What clients may send about workspaces."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from inputs import Input, Name, Time, fault, fault_at
from shiftwork_core import bootstrap
from shiftwork_core.adapters.schedules.calendars import check_icalendar
from shiftwork_core.adapters.schedules.cron import check
from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests.definitions import Kind, Target
from shiftwork_core.domain.workspaces.crons import check_zone, parse_cron
from shiftwork_core.domain.workspaces.schedules import MAX_TTL_S, MIN_TTL_S, Schedule, ScheduleFault
from shiftwork_core.errors import NotFound
from v1.definitions.inputs import MAX_BACKOFF_S, RetryInput
from v1.workspaces.drivers import DriverInput

MAX_WINDOWS = 20
MAX_DATES = 1000
MAX_QUIET_HOURS = 20
MAX_CALENDAR_CHARACTERS = 100_000
MAX_SPREAD_S = 3600
#: How far ahead a deadline may be.
MAX_LIFETIME_S = 366 * 86_400
#: The slowest known switch, of a cluster of databases, takes half an hour.
MAX_VERIFY_S = 7200
MAX_HOSTED_TYPES = 20
MAX_PATTERNS = 50
MAX_DRAIN_S = 7 * 86_400

_MAX_NAME_LENGTH = 200


def _check_cron(text: str) -> str:
    try:
        check(parse_cron(text))
    except ScheduleFault as error:
        raise fault(str(error)) from None
    return text


def _check_zone(name: str) -> str:
    try:
        return check_zone(name)
    except ScheduleFault as error:
        raise fault(str(error)) from None


def _check_calendar(text: str) -> str:
    try:
        check_icalendar(text)
    except ScheduleFault as error:
        raise fault(str(error)) from None
    return text


def _check_dates(dates: Json) -> Json:
    """Check dates, or dates with their names; raise a fault for each that is not a date."""
    if not isinstance(dates, (list, dict)):
        raise fault("must be an array of dates, or an object of dates and their names")
    if len(dates) > MAX_DATES:
        raise fault(f"has {len(dates):,} dates; {MAX_DATES:,} are the most")
    entries = dates.items() if isinstance(dates, dict) else enumerate(dates)
    errors = []
    for place, name in entries:
        if not _is_date(place if isinstance(dates, dict) else name):
            errors.append(fault_at("is no date; write it as 2026-12-25", place))
        elif not isinstance(name, str) or len(name) > _MAX_NAME_LENGTH:
            message = f"its name must be a text of at most {_MAX_NAME_LENGTH} characters"
            errors.append(fault_at(message, place))
    if errors:
        raise ValidationError.from_exception_data("dates", errors)
    return dates


def _is_date(text: Json) -> bool:
    if not isinstance(text, str) or len(text) != len("2026-12-25"):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


_Date = {"type": "string", "format": "date"}

Cron = Annotated[
    str,
    Field(max_length=300),
    AfterValidator(_check_cron),
    Field(
        description="CRON_TZ=<IANA zone> minute hour * * day-of-week; without a zone it is UTC",
        examples=["CRON_TZ=Europe/Berlin 0 8 * * 1-5"],
    ),
]
Zone = Annotated[str, Field(max_length=100), AfterValidator(_check_zone)]
Ttl = Annotated[float, Field(ge=MIN_TTL_S, le=MAX_TTL_S)]
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["22:00"])]
#: Any: a union of types would put their names into the paths of faults.
Dates = Annotated[
    Any,
    AfterValidator(_check_dates),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": _Date, "maxItems": MAX_DATES},
                {
                    "type": "object",
                    "additionalProperties": {"type": "string", "maxLength": _MAX_NAME_LENGTH},
                    "propertyNames": _Date,
                    "maxProperties": MAX_DATES,
                },
            ]
        }
    ),
]


class WindowInput(Input):
    """On from `start` until `stop`, or for `ttl_s`; a start or a stop alone is a window too."""

    start: Cron | None = None
    stop: Cron | None = None
    ttl_s: Ttl | None = None


class HolidaysInput(Input):
    """Days on which no window begins."""

    dates: Annotated[Dates, Field(description="dates, or dates with their names")] = Field(
        default_factory=list
    )
    icalendar: (
        Annotated[
            str,
            Field(max_length=MAX_CALENDAR_CHARACTERS, description="the text of an iCalendar file"),
            AfterValidator(_check_calendar),
        ]
        | None
    ) = None


class QuietHoursInput(Input):
    """From `start` to `end` of each day, perhaps past midnight, nothing starts by itself."""

    start: TimeOfDay
    end: TimeOfDay
    time_zone: Zone = "UTC"


class ScheduleInput(Input):
    """When the workspace is on."""

    windows: Annotated[list[WindowInput], Field(max_length=MAX_WINDOWS)] = Field(
        default_factory=list
    )
    ttl_s: Annotated[Ttl | None, Field(description="how long it runs once started")] = None
    manual_ttl_s: Annotated[
        Ttl | None, Field(description="how long once people have started it; default: ttl_s")
    ] = None
    max_lifetime_s: Annotated[
        float | None,
        Field(
            ge=MIN_TTL_S,
            le=MAX_LIFETIME_S,
            description="activity and deadlines cannot keep it on longer",
        ),
    ] = None
    activity_bump_s: Annotated[
        float, Field(ge=0, le=MAX_TTL_S, description="activity keeps it on for at least so long")
    ] = 3600
    holidays: HolidaysInput | None = None
    quiet_hours: Annotated[list[QuietHoursInput], Field(max_length=MAX_QUIET_HOURS)] = Field(
        default_factory=list
    )
    spread_s: Annotated[
        float,
        Field(ge=0, le=MAX_SPREAD_S, description="starts of workspaces are spread over so long"),
    ] = 0


def _read_schedule(value: Json, validate: ValidatorFunctionWrapHandler) -> Any:
    """Let the domain read a schedule of the right shape: its parts may contradict each other."""
    checked = validate(value)
    try:
        Schedule.from_body(value or {})
    except ScheduleFault as error:
        # Its paths begin with the body's field, as these do.
        places = [(f.path.removeprefix("schedule").removeprefix("."), f) for f in error.faults]
        errors = [fault_at(f.message, *filter(None, [place])) for place, f in places]
        raise ValidationError.from_exception_data("schedule", errors) from None
    return checked


def _check_job_type(name: str) -> str:
    try:
        found = bootstrap.requests.definitions().get(Kind.JOB_TYPE, name)
    except NotFound:
        raise fault(f"there is no job type {name!r}; put it first") from None
    target = found.body["target"]
    if target != Target.WORKER:
        raise fault(f"jobs of type {name!r} are done by {target}; workers do those of worker")
    return name


class HostsInput(Input):
    """Which workers run in the workspace: it starts when jobs wait for them, stops when idle."""

    job_types: Annotated[
        list[Annotated[Name, AfterValidator(_check_job_type)]],
        Field(min_length=1, max_length=MAX_HOSTED_TYPES, description="of target worker"),
    ]
    workers: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._~*-]{1,200}$")]],
        Field(
            min_length=1,
            max_length=MAX_PATTERNS,
            description="their ids, * for any characters; default: the workspace's name, and "
            "what begins with it and a hyphen or ~",
        ),
    ] = Field(default_factory=list)
    idle_timeout_s: Annotated[
        float | None,
        Field(ge=1, le=MAX_TTL_S, description="stopped after so long with nothing to do"),
    ] = None
    drain_timeout_s: Annotated[
        float, Field(ge=0, le=MAX_DRAIN_S, description="how long a stop waits for their builds")
    ] = 600


class SwitchRetryInput(RetryInput):
    """When a start or a stop that failed is attempted again."""

    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    delay_s: Annotated[float, Field(ge=0, le=MAX_BACKOFF_S)] = 10
    max_delay_s: Annotated[float, Field(ge=0, le=MAX_BACKOFF_S)] = 600


class WorkspaceInput(Input):
    """A workspace."""

    kind: Literal["workspace"] | None = None
    name: Name | None = None
    driver: DriverInput
    schedule: Annotated[ScheduleInput | None, WrapValidator(_read_schedule)] = None
    hosts: HostsInput | None = None
    retry: SwitchRetryInput | None = None
    verify_timeout_s: Annotated[
        float, Field(ge=1, le=MAX_VERIFY_S, description="how long a switch may take to be seen")
    ] = 600


class OverrideInput(Input):
    """Keep a workspace on or off for a while, whatever its schedule says."""

    desired: Literal["on", "off"]
    until: Time
    since: Annotated[Time | None, Field(description="default: now")] = None
    reason: Annotated[str, Field(max_length=500)] = ""


class DeadlineInput(Input):
    """The time at which a running workspace stops."""

    deadline: Time
