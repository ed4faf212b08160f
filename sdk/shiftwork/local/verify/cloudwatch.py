"""Count by CloudWatch's metrics, minute by minute, as every AWS account shows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from shiftwork.local.verify.counts import FUNCTIONS

_PERIOD_S = 60
#: CloudWatch shows a minute some minutes later. What has not changed for so long has arrived.
_SETTLED_S = 180.0
_POLL_S = 30.0
_MAX_WAIT_S = 900.0
#: The tables whose reads are counted; what sweeps read lies in indexes, which count apart.
_READ = ("RequestsTable", "PayloadsTable", "JobsTable")


class CloudWatchCounts:
    """Counts whole minutes: it begins with the next one, and ends with the one under way."""

    title = "CloudWatch (AWS/DynamoDB, AWS/Lambda) and the history of the execution"
    hidden: frozenset[str] = frozenset()

    def __init__(
        self,
        cloudwatch: Any,
        resources: Mapping[str, str],
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._cloudwatch = cloudwatch
        self._resources = resources
        self._sleep = sleep
        self._clock = clock
        self._began_s = 0.0

    def begin(self) -> None:
        """Wait for the next minute of the clock."""
        self._began_s = _next_minute(self._clock())
        self._sleep(self._began_s - self._clock())

    def take(self, jobs: int) -> Mapping[str, float | None]:
        """Wait until the metrics stay as they are."""
        end_s = _next_minute(self._clock())
        give_up_s = end_s + _MAX_WAIT_S
        self._sleep(end_s - self._clock())
        seen: dict[str, float] = {}
        since_s = self._clock()
        while self._clock() < give_up_s:
            self._sleep(_POLL_S)
            found = self._sums(end_s)
            if found != seen:
                seen, since_s = found, self._clock()
            elif _is_whole(found) and self._clock() - since_s >= _SETTLED_S:
                return _figures(found, jobs)
        return _figures(seen, jobs) if _is_whole(seen) else {}

    def _sums(self, end_s: float) -> dict[str, float]:
        queries = self._queries()
        pages = self._cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=list(queries.values()),
            StartTime=datetime.fromtimestamp(self._began_s, UTC),
            EndTime=datetime.fromtimestamp(end_s, UTC),
        )
        sums = dict.fromkeys(queries, 0.0)
        for page in pages:
            for result in page["MetricDataResults"]:
                sums[result["Id"]] += sum(result["Values"])
        return sums

    def _queries(self) -> dict[str, Any]:
        wanted = [("AWS/Lambda", "Invocations", "FunctionName", one) for one in FUNCTIONS]
        tables = [("ConsumedReadCapacityUnits", one) for one in _READ]
        tables += [("ConsumedWriteCapacityUnits", one) for one in ("RequestsTable", "JobsTable")]
        wanted += [("AWS/DynamoDB", metric, "TableName", table) for metric, table in tables]
        return {
            _id(metric, resource): {
                "Id": _id(metric, resource),
                "MetricStat": {
                    "Metric": {
                        "Namespace": namespace,
                        "MetricName": metric,
                        "Dimensions": [{"Name": dimension, "Value": self._resources[resource]}],
                    },
                    "Period": _PERIOD_S,
                    "Stat": "Sum",
                },
            }
            for namespace, metric, dimension, resource in wanted
        }


def _id(metric: str, resource: str) -> str:
    """Return the id of a query, which begins with a small letter."""
    return f"m_{metric}_{resource}"


def _next_minute(at_s: float) -> float:
    return math.floor(at_s / _PERIOD_S + 1) * _PERIOD_S


def _is_whole(sums: Mapping[str, float]) -> bool:
    """Whether each service has shown something of what is never zero."""
    return bool(sums) and all(
        sums[_id(metric, resource)] > 0
        for metric, resource in (
            ("ConsumedWriteCapacityUnits", "JobsTable"),
            ("ConsumedWriteCapacityUnits", "RequestsTable"),
            ("ConsumedReadCapacityUnits", "JobsTable"),
            ("Invocations", "RunJobsFunction"),
        )
    )


def _figures(sums: Mapping[str, float], jobs: int) -> dict[str, float | None]:
    return {
        "job_write_units": sums[_id("ConsumedWriteCapacityUnits", "JobsTable")] / jobs,
        "request_write_units": sums[_id("ConsumedWriteCapacityUnits", "RequestsTable")],
        "read_units": sum(sums[_id("ConsumedReadCapacityUnits", one)] for one in _READ) / jobs,
        "invocations": sum(sums[_id("Invocations", one)] for one in FUNCTIONS),
    }
