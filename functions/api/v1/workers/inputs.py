"""What the routes of workers take and answer. Their times are seconds since 1970."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from answers import Output
from v1.requests.inputs import Input

#: Goes into paths as it is.
WORKER_ID_PATTERN = r"^[A-Za-z0-9._-]+$"

Hostname = Annotated[
    str,
    Field(
        pattern=WORKER_ID_PATTERN,
        max_length=200,
        description="unique; the worker's id from now on",
    ),
]
Address = Annotated[str, Field(max_length=500, description="where it can be reached, for people")]
Routes = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=256)]],
    Field(max_length=100, description="the job types that it takes"),
]
BuildLimit = Annotated[int, Field(ge=1, le=10_000, description="how many builds at once")]
BuildIds = Annotated[
    list[
        Annotated[
            str, Field(max_length=200, pattern=r"^[A-Za-z0-9_-]+\.\d{1,4}\.\d{1,6}\.\d{1,4}$")
        ]
    ],
    Field(max_length=1000, description="ids of the attempts that it holds, all of them"),
]
Reported = Annotated[
    Literal["idle", "available", "busy", "error"],
    Field(description="`error`, or that it is well; which of the others follows from its builds"),
]
ErrorText = Annotated[str, Field(min_length=1, max_length=2000, description="what is wrong")]
UnixTime = int


class InvitationInput(Input):
    """Who is to register."""

    hostname: Hostname


class RegistrationInput(Input):
    """A worker that has just started."""

    hostname: Hostname
    address: Address = ""
    routes: Routes = Field(default_factory=list)
    build_limit: BuildLimit = 1
    running_build_ids: Annotated[
        BuildIds | None,
        Field(description="what it holds; what its record has beyond is handed out again at once"),
    ] = None


class CheckInInput(Input):
    """What a worker may say as it checks in."""

    status: Reported | None = None
    error: ErrorText | None = None
    running_build_ids: BuildIds | None = None
    build_limit: BuildLimit | None = None


class WorkerInput(CheckInInput):
    """What is to change of a worker's record; what is left out stays."""

    address: Address | None = None
    routes: Routes | None = None
    active: Annotated[
        bool | None,
        Field(
            description="whether it takes jobs; said by a worker itself, it undoes no drain, "
            "said by another it drains or resumes it"
        ),
    ] = None


class WorkerAnswer(Output):
    """A worker's record."""

    worker_id: str
    hostname: str
    address: str
    routes: list[str]
    active: bool
    drained: bool
    status: Literal["idle", "available", "busy", "error", "offline"]
    error: str | None
    last_status_update_at: UnixTime
    running_build_ids: list[str]
    build_limit: int
    last_build_started_at: UnixTime | None
    last_build_finished_at: UnixTime | None
    last_checked_in: UnixTime | None
    last_seen_at: UnixTime
    kind: Literal["registered", "derived"]
    polls: dict[str, UnixTime]


class WorkerPage(Output):
    """Some workers, by id."""

    items: list[WorkerAnswer]
    next_token: str | None


class InvitationAnswer(Output):
    """A token that registers this worker, once."""

    token: str
    expires_at: UnixTime


class WorkerTokenAnswer(Output):
    """A worker's record and its token; it should check in every `check_in_s` seconds."""

    worker: WorkerAnswer
    token: str
    expires_at: UnixTime
    check_in_s: float


class QueueFinding(Output):
    """Whether something of a queue can be given out now, or why not."""

    queue: str
    waiting: int
    is_blocked: bool
    reason: str
    next: str


class WorkerExplanation(Output):
    """Why a worker is given work or none."""

    worker_id: str
    status: Literal["idle", "available", "busy", "error", "offline"]
    summary: str
    running: int
    build_limit: int
    queues: list[QueueFinding]
    next: str
