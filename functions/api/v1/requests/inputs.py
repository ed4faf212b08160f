"""What clients may send to submit a request."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from inputs import LINE_PATTERN, Input, Name, Time


class SubmissionInput(Input):
    """A request to submit."""

    type: Name
    version: Annotated[int | None, Field(ge=1, lt=10**9, description="default: the latest")] = None
    params: Annotated[dict[str, Any], Field(description="must fit the type's schema")]
    extras: Annotated[dict[str, Any], Field(description="what jobs' results are merged into")] = {}  # noqa: RUF012 (pydantic copies it)
    correlation_id: Annotated[
        str | None, Field(min_length=1, max_length=255, pattern=LINE_PATTERN)
    ] = None
    priority: Annotated[
        int,
        Field(
            ge=0,
            le=99,
            description="of its jobs for workers; refused, unless 0, where the type has none",
        ),
    ] = 0
    start_at: Annotated[
        Time | None, Field(description="not before this time; at most a year ahead")
    ] = None
