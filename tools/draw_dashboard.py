"""Draw the dashboard of template.yaml: `python -m tools.draw_dashboard`.

It is read from top to bottom: is it healthy, what waits, what fails, who works, what is switched
late, what does it cost, and may these figures be trusted. The template has it as JSON in a
`Fn::Sub`, one widget a line; a test keeps the two equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shiftwork_core.domain.metrics.cloudwatch import NAMESPACE, STAGE, TYPE, Metric
from tests.template import ROOT, as_text, load_template, resources

TEMPLATE = ROOT / "template.yaml"
_BEGIN = "      # Drawn by tools/draw_dashboard.py.\n      DashboardBody: !Sub |\n"
_END = "\nOutputs:\n"

#: CloudWatch's grid.
COLUMNS = 24
_HEIGHT = 6

Widget = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """Widgets side by side, below a heading if it has one."""

    widgets: list[Widget]
    heading: str = ""
    height: int = _HEIGHT


def ours(metric: Metric, stat: str, label: str) -> list[Any]:
    """Return one of our metrics, of the stage."""
    return [NAMESPACE, metric.value, STAGE, "${Stage}", {"stat": stat, "label": label}]


def of_types(metric: Metric, stat: str) -> list[Any]:
    """Return one of our metrics, a line for each type."""
    search = f'{{{NAMESPACE},{STAGE},{TYPE}}} MetricName="{metric.value}" {STAGE}="${{Stage}}"'
    return [
        {"expression": f"SEARCH('{search}', '{stat}', 60)", "label": f"${{!PROP('Dim.{TYPE}')}}"}
    ]


def of_function(metric: str, stat: str, function: str, label: str = "") -> list[Any]:
    """Return a metric of Lambda about one of our functions."""
    name = f"${{AWS::StackName}}-{function}"
    return ["AWS/Lambda", metric, "FunctionName", name, {"stat": stat, "label": label or function}]


def of_queue(queue: str, label: str) -> list[Any]:
    """Return how many messages a queue of the template has."""
    metric = "ApproximateNumberOfMessagesVisible"
    options = {"stat": "Maximum", "label": label}
    return ["AWS/SQS", metric, "QueueName", f"${{{queue}.QueueName}}", options]


def graph(title: str, metrics: list[list[Any]], **properties: Any) -> Widget:
    """Return a widget with lines, points of a minute unless `period` says otherwise."""
    about = {"title": title, "view": "timeSeries", "region": "${AWS::Region}", "period": 60}
    return {"type": "metric", "properties": {**about, "metrics": metrics, **properties}}


def stacked(title: str, metrics: list[list[Any]], **properties: Any) -> Widget:
    """Return a widget with areas that add up."""
    return graph(title, metrics, stacked=True, **properties)


def errors_by_message() -> Widget:
    """Return a table of the errors in the functions' logs, the most frequent first."""
    groups = [
        f"SOURCE '/aws/lambda/{as_text(entry['Properties']['FunctionName'])}'"
        for entry in resources("AWS::Serverless::Function").values()
    ]
    query = "filter level = 'ERROR' | stats count() as times by message, location"
    return {
        "type": "log",
        "properties": {
            "title": "Errors in the logs, by message",
            "region": "${AWS::Region}",
            "view": "table",
            "query": " | ".join([*groups, query, "sort times desc", "limit 10"]),
        },
    }


def alarm_states() -> Widget:
    """Return the state of every alarm."""
    kinds = ("AWS::CloudWatch::CompositeAlarm", "AWS::CloudWatch::Alarm")
    arns = [f"${{{name}.Arn}}" for kind in kinds for name in resources(kind)]
    return {"type": "alarm", "properties": {"title": "Alarms", "alarms": arns}}


def cost_of_a_day() -> list[list[Any]]:
    """Return the metrics of CostAlarm with its estimate."""
    alarm = load_template()["Resources"]["CostAlarm"]["Properties"]
    drawn: list[list[Any]] = []
    for query in alarm["Metrics"]:
        if "Expression" in query:
            estimate = {"expression": " ".join(query["Expression"].split()), "id": query["Id"]}
            drawn.append([{**estimate, "label": "USD"}])
            continue
        metric = query["MetricStat"]["Metric"]
        dimensions = [
            part for d in metric["Dimensions"] for part in (d["Name"], as_text(d["Value"]))
        ]
        options = {"id": query["Id"], "stat": query["MetricStat"]["Stat"], "visible": False}
        drawn.append([metric["Namespace"], metric["MetricName"], *dimensions, options])
    return drawn


def _healthy() -> Iterator[Row]:
    m = Metric
    calls = [
        ours(m.CALLS_ANSWERED, "Sum", "answered"),
        ours(m.CALLS_REFUSED, "Sum", "refused (4xx)"),
        ours(m.CALLS_FAILED, "Sum", "failed (5xx)"),
    ]
    requests = [
        ours(m.REQUESTS_SUBMITTED, "Sum", "submitted"),
        ours(m.REQUESTS_COMPLETED, "Sum", "completed"),
        ours(m.REQUESTS_FAILED, "Sum", "failed"),
        ours(m.REQUESTS_CANCELLED, "Sum", "cancelled"),
    ]
    took = [ours(m.REQUEST_SECONDS, p, p) for p in ("p50", "p90", "p99")]
    yield Row([alarm_states()], "Is it healthy?", 3)
    yield Row(
        [
            graph("Calls of the API", calls),
            graph("Requests", requests),
            graph("How long requests took (s)", took),
        ]
    )


def _waiting() -> Iterator[Row]:
    m = Metric
    oldest = [
        ours(m.OLDEST_QUEUED_JOB_SECONDS, "Maximum", "queued job"),
        ours(m.OLDEST_DUE_REQUEST_SECONDS, "Maximum", "due request"),
    ]
    yield Row(
        [
            graph("The oldest that waits (s)", oldest),
            stacked("Queued jobs, by type", [of_types(m.QUEUED_JOBS, "Maximum")]),
            graph(
                "Oldest queued job, by type (s)", [of_types(m.OLDEST_QUEUED_JOB_SECONDS, "Maximum")]
            ),
        ],
        "What waits, and for how long?",
    )
    waits = [ours(m.QUEUE_WAIT_SECONDS, p, p) for p in ("p50", "p90", "p99")]
    yield Row(
        [
            graph("Stuck requests", [ours(m.STUCK_REQUESTS, "Maximum", "due for over 10 minutes")]),
            graph("How long jobs waited to begin (s)", waits),
            graph("Finds of the sweeps", [ours(m.SWEEP_FINDS, "Sum", "rows acted on")]),
        ]
    )


def _failing() -> Iterator[Row]:
    m = Metric
    jobs = [
        ours(m.JOBS_FAILED, "Sum", "jobs failed"),
        ours(m.ATTEMPTS_RETRIED, "Sum", "attempts retried"),
        ours(m.JOBS_DISCARDED, "Sum", "outcomes too late"),
        ours(m.TASKS_LATE, "Sum", "reports too late"),
    ]
    yield Row(
        [
            graph("Failures and retries", jobs),
            stacked("Failed jobs, by type", [of_types(m.JOBS_FAILED, "Sum")]),
            stacked("Failed requests, by type", [of_types(m.REQUESTS_FAILED, "Sum")]),
        ],
        "What fails, and why?",
    )
    functions = [
        as_text(entry["Properties"]["FunctionName"]).removeprefix("${AWS::StackName}-")
        for entry in resources("AWS::Serverless::Function").values()
    ]
    letters = [of_queue("WakeDeadLetterQueue", "wake"), of_queue("SwitchDeadLetterQueue", "switch")]
    yield Row(
        [
            errors_by_message(),
            stacked("Errors of functions", [of_function("Errors", "Sum", f) for f in functions]),
            graph("Dead letters", letters),
        ]
    )


def _working() -> Iterator[Row]:
    m = Metric
    workers = [
        ours(m.WORKERS_BUSY, "Maximum", "busy"),
        ours(m.WORKERS_AVAILABLE, "Maximum", "available"),
        ours(m.WORKERS_IDLE, "Maximum", "idle"),
        ours(m.WORKERS_ERROR, "Maximum", "error"),
        ours(m.WORKERS_OFFLINE, "Maximum", "offline"),
    ]
    took = [ours(m.ATTEMPT_SECONDS, p, p) for p in ("p50", "p90", "p99")]
    yield Row(
        [
            stacked("Workers", workers),
            stacked("Completed jobs, by type", [of_types(m.JOBS_COMPLETED, "Sum")]),
            graph("How long attempts took (s)", took),
        ],
        "Who works?",
    )
    tasks = [
        ours(m.TASKS_HANDED_OUT, "Sum", "handed out"),
        ours(m.TASKS_RECORDED, "Sum", "reported"),
        ours(m.TASKS_PUT_BACK, "Sum", "put back"),
        ours(m.CLAIMS_LOST, "Sum", "claims lost to another poller"),
    ]
    lost = [ours(m.WORKERS_LOST, "Maximum", "fell silent in 15 minutes")]
    runs = [of_function("ConcurrentExecutions", "Maximum", f) for f in ("run-jobs", "serve-tasks")]
    yield Row(
        [
            graph("Lost workers", lost),
            graph("Tasks of workers", tasks),
            graph("Functions at once", runs),
        ]
    )


def _switching() -> Iterator[Row]:
    m = Metric
    ended = [
        ours(m.LIFECYCLE_JOBS_COMPLETED, "Sum", "completed"),
        ours(m.LIFECYCLE_JOBS_FAILED, "Sum", "failed"),
        ours(m.LIFECYCLE_JOBS_CANCELLED, "Sum", "cancelled"),
    ]
    delays = [ours(m.LIFECYCLE_DELAY_SECONDS, p, p) for p in ("p50", "p90", "p99")]
    late = [ours(m.LATE_SWITCH_SECONDS, "Maximum", "the longest due")]
    yield Row(
        [
            graph("A switch is due for (s)", late),
            graph("Switched after its deadline by (s)", delays),
            graph("Starts and stops", ended),
        ],
        "What is switched late?",
    )


def _costing() -> Iterator[Row]:
    cost = cost_of_a_day()
    calls = [
        of_function("Invocations", "Sum", f)
        for f in ("api", "serve-tasks", "advance-request", "run-jobs")
    ]
    yield Row(
        [
            graph("The last day (USD, list prices)", cost, period=86400, view="singleValue"),
            graph("Each hour (USD, list prices)", cost, period=3600),
            stacked("Calls of functions", calls),
        ],
        "What does it cost today?",
    )


def _trusting() -> Iterator[Row]:
    m = Metric
    lag = [ours(m.STREAM_LAG_SECONDS, "Maximum", "behind the tables")]
    gaps = [
        ours(m.COUNTERS_GAP, "Maximum", "tables with a gap"),
        ours(m.CHANGES_UNREADABLE, "Sum", "changes that could not be read"),
    ]
    age = [of_function("IteratorAge", "Maximum", "count-outcomes", "oldest record")]
    yield Row(
        [
            graph("The counters are behind by (s)", lag),
            graph("Not counted", gaps),
            graph("Age of the streams' records (ms)", age),
        ],
        "May these figures be trusted?",
    )


def body() -> dict[str, list[Widget]]:
    """Return the dashboard, with the template's references in it."""
    widgets: list[Widget] = []
    y = 0
    sections = (_healthy, _waiting, _failing, _working, _switching, _costing, _trusting)
    for row in (row for section in sections for row in section()):
        if row.heading:
            text = {"markdown": f"## {row.heading}", "background": "transparent"}
            widgets.append(_placed({"type": "text", "properties": text}, 0, y, COLUMNS, 1))
            y += 1
        width = COLUMNS // len(row.widgets)
        for column, widget in enumerate(row.widgets):
            widgets.append(_placed(widget, column * width, y, width, row.height))
        y += row.height
    return {"widgets": widgets}


def _placed(widget: Widget, x: int, y: int, width: int, height: int) -> Widget:
    return {"x": x, "y": y, "width": width, "height": height, **widget}


def draw(template: str) -> str:
    """Return the template with the dashboard in its place."""
    before, rest = template.split(_BEGIN)
    _, after = rest.split(_END)
    lines = [json.dumps(widget, separators=(", ", ": ")) for widget in body()["widgets"]]
    indented = "".join(
        f"        {line}\n" for line in ['{"widgets": [', *_with_commas(lines), "]}"]
    )
    return f"{before}{_BEGIN}{indented}{_END}{after}"


def _with_commas(lines: list[str]) -> list[str]:
    return [*(f"{line}," for line in lines[:-1]), lines[-1]]


def references(text: str) -> set[str]:
    """Return what a text for `Fn::Sub` refers to."""
    return set(re.findall(r"\$\{([^!}]+)\}", text))


if __name__ == "__main__":
    TEMPLATE.write_text(draw(TEMPLATE.read_text()))
