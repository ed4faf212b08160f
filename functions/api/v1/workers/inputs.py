"""What clients may send about workers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from inputs import LINE_PATTERN, Input
from shiftwork_core.domain.workers.tokens import MAX_JOB_TYPES_BYTES

#: Goes into paths as it is.
WORKER_ID_PATTERN = r"^[A-Za-z0-9._~-]+$"
#: A `~` is in the ids of a key's workers only, which do not register.
HOSTNAME_PATTERN = r"^[A-Za-z0-9._-]+$"

Hostname = Annotated[
    str,
    Field(
        pattern=HOSTNAME_PATTERN,
        max_length=200,
        description="unique; the worker's id from now on",
    ),
]
Address = Annotated[
    str, Field(max_length=500, pattern=LINE_PATTERN, description="where people reach it")
]
JobTypeName = Annotated[str, Field(min_length=1, max_length=256, pattern=LINE_PATTERN)]
Routes = Annotated[
    list[JobTypeName],
    Field(max_length=100, description="the job types that it works on"),
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


class InvitationInput(Input):
    """The worker that is to register."""

    hostname: Hostname
    job_types: Annotated[
        list[JobTypeName],
        Field(
            max_length=50,
            description="the job types that its tokens are for, 2,000 bytes in all; empty: all",
        ),
    ] = Field(default_factory=list)

    @field_validator("job_types")
    @classmethod
    def _fits_a_token(cls, names: list[str]) -> list[str]:
        if sum(len(name.encode(errors="replace")) for name in names) > MAX_JOB_TYPES_BYTES:
            raise ValueError(f"the names have more than {MAX_JOB_TYPES_BYTES:,} bytes in all")
        return names


class RegistrationInput(Input):
    """A worker that has just started."""

    hostname: Hostname
    address: Address = ""
    routes: Routes = Field(default_factory=list)
    build_limit: BuildLimit = 1
    running_build_ids: Annotated[
        BuildIds | None,
        Field(description="the builds that it holds; others in its record are requeued at once"),
    ] = None


class CheckInInput(Input):
    """A worker's report as it checks in."""

    status: Reported | None = None
    error: ErrorText | None = None
    running_build_ids: BuildIds | None = None
    build_limit: BuildLimit | None = None


class WorkerInput(CheckInInput):
    """The changes to a worker's record; fields that are left out stay."""

    address: Address | None = None
    routes: Routes | None = None
    active: Annotated[
        bool | None,
        Field(
            description="whether it takes jobs; from the worker itself it lifts no drain, from "
            "anybody else it drains or resumes the worker"
        ),
    ] = None
