"""Find what a job, or all jobs of a request, logged in CloudWatch Logs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.domain.requests.records import Attempt, Request
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.ports.stores import Page

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilteredLogEventTypeDef, FilterLogEventsRequestTypeDef

#: Lambda's clock and CloudWatch's differ; a line may also be stored a little late.
_SLACK = timedelta(seconds=60)
#: CloudWatch may answer with a token and no lines while it searches. We ask again at most this
#: often, then return the token to the caller, so that one call never waits long.
_MAX_CALLS = 5
#: So late a line may come to CloudWatch, and a follower still gets it.
_COMES_LATE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line, as the job wrote it."""

    timestamp: datetime
    message: str


@dataclass(frozen=True, slots=True)
class JobLine(LogLine):
    """A line of one job of many. `id` is the same whenever the line is read."""

    id: str
    attempt_id: str
    job: str


@dataclass(frozen=True, slots=True)
class Followed:
    """Some lines of a request, and where a follower goes on. `has_more`: at once."""

    lines: list[JobLine]
    cursor: str
    has_more: bool


class JobLogs:
    """Finds the lines that RunJobs logged with an attempt's id."""

    def __init__(self, client: CloudWatchLogsClient, log_group: str) -> None:
        self._client = client
        self._log_group = log_group

    def find(self, attempt: Attempt, limit: int, next_token: str | None) -> Page[LogLine]:
        """List the attempt's lines, oldest first. A page may be empty and not be the last.

        Raises
        ------
        Invalid
            If `next_token` is not one that this method returned.
        """
        if attempt.started_at is None:
            return Page([])
        query: FilterLogEventsRequestTypeDef = {
            "filterPattern": f'"{attempt.attempt_id}"',
            "startTime": _millis(attempt.started_at - _SLACK),
            "limit": limit,
        }
        if attempt.completed_at is not None:
            query["endTime"] = _millis(attempt.completed_at + _SLACK)
        if next_token is not None:
            query["nextToken"] = next_token
        # The pattern also finds `<id>0` for `<id>`.
        is_own = re.compile(rf"(?<![\w-]){re.escape(attempt.attempt_id)}(?!\d)").search
        events, token = self._search(
            query, lambda event: is_own(event["message"]) is not None, "next_token"
        )
        return Page([LogLine(_time_of(e), e["message"].rstrip()) for e in events], token)

    def follow(self, request: Request, limit: int, after: str | None, now: datetime) -> Followed:
        """List lines of all attempts of a request in order of time, from the cursor `after` on.

        What was logged in the last half minute is listed again: lines of one process come later
        than those of another. A follower knows them by their ids.

        Raises
        ------
        Invalid
            If `after` is not a cursor that this method returned.
        """
        since, _, token = (after or str(_millis(request.created_at - _SLACK))).partition("~")
        if not since.isdecimal():
            raise _not_a_page("after")
        query: FilterLogEventsRequestTypeDef = {
            "filterPattern": f'"{request.request_id}"',
            "startTime": int(since),
            "limit": limit,
        }
        if token:
            query["nextToken"] = token
        found: list[JobLine] = []

        def is_of_job(event: FilteredLogEventTypeDef) -> bool:
            if (line := _job_line(request.request_id, event)) is None:
                return False
            found.append(line)
            return True

        _, next_token = self._search(query, is_of_job, "after")
        if next_token is not None:
            return Followed(found, f"{since}~{next_token}", has_more=True)
        behind = max(int(since), _millis(now - _COMES_LATE))
        return Followed(found, str(behind), has_more=False)

    def _search(
        self,
        query: FilterLogEventsRequestTypeDef,
        is_wanted: Callable[[FilteredLogEventTypeDef], bool],
        place: str,
    ) -> tuple[list[FilteredLogEventTypeDef], str | None]:
        """Return the wanted events of a page, and the token of the next.

        `place` is the parameter that had the token of this page.
        """
        query["logGroupName"] = self._log_group
        for _ in range(_MAX_CALLS):
            try:
                with translated_errors():
                    answer = self._client.filter_log_events(**query)
            except self._client.exceptions.ResourceNotFoundException:
                return [], None  # Nothing has logged yet.
            except self._client.exceptions.InvalidParameterException as error:
                raise _not_a_page(place) from error
            events = list(filter(is_wanted, answer["events"]))
            token = answer.get("nextToken")
            if events or token is None:
                break
            query["nextToken"] = token
        return events, token


def _job_line(request_id: str, event: FilteredLogEventTypeDef) -> JobLine | None:
    """Return the line of one of the request's jobs; None: it is about none, or about another."""
    message = event["message"].rstrip()
    try:
        said = json.loads(message)
    except ValueError:
        return None
    attempt_id = said.get("attempt_id") if isinstance(said, dict) else None
    if not isinstance(attempt_id, str) or not attempt_id.startswith(f"{request_id}."):
        return None
    id = hashlib.sha256(f"{event['timestamp']} {message}".encode()).hexdigest()[:16]
    return JobLine(_time_of(event), message, id, attempt_id, str(said.get("job", "")))


def _not_a_page(place: str) -> Invalid:
    return Invalid(
        "CloudWatch Logs refuses the page",
        [FaultAt(place, "not a page of these logs")],
        f"start again without {place}",
    )


def _time_of(event: FilteredLogEventTypeDef) -> datetime:
    return datetime.fromtimestamp(event["timestamp"] / 1000, UTC)


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
