"""Find what a job logged in CloudWatch Logs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.ports.stores import Page

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilterLogEventsRequestTypeDef

#: Lambda's clock and CloudWatch's differ; a line may also be stored a little late.
_SLACK = timedelta(seconds=60)
#: CloudWatch may answer with a token and no lines while it searches. We ask again at most this
#: often, then return the token to the caller, so that one call never waits long.
_MAX_CALLS = 5


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line, as the job wrote it."""

    timestamp: datetime
    message: str


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
            "logGroupName": self._log_group,
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
        for _ in range(_MAX_CALLS):
            try:
                with translated_errors():
                    answer = self._client.filter_log_events(**query)
            except self._client.exceptions.ResourceNotFoundException:
                return Page([])  # Nothing has logged yet.
            except self._client.exceptions.InvalidParameterException as error:
                raise Invalid(
                    "CloudWatch Logs refuses the page",
                    [FaultAt("next_token", "not a page of these logs")],
                    "start again without next_token",
                ) from error
            lines = [
                LogLine(datetime.fromtimestamp(e["timestamp"] / 1000, UTC), e["message"].rstrip())
                for e in answer["events"]
                if is_own(e["message"])
            ]
            token = answer.get("nextToken")
            if lines or token is None:
                break
            query["nextToken"] = token
        return Page(lines, token)


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
