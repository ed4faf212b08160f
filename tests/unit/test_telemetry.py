"""What a function writes for CloudWatch: metrics of the catalogue, with the stage and no more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.telemetry import count, count_outcomes, metrics
from tests.template import ROOT, load_template

#: Run in its own process, since the stage is read once.
_TWO_CALLS = """
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.telemetry import count, metrics

@metrics.log_metrics
def handler(event, context):
    count(Metric.SWEEP_FINDS, event)

handler(3, None)
handler(4, None)
"""


def test_each_call_has_the_stage_as_its_only_dimension() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _TWO_CALLS],
        env={"PYTHONPATH": str(ROOT / "layers" / "core"), "STAGE": "prod"},
        capture_output=True,
        text=True,
        check=True,
    )
    documents = [json.loads(line) for line in run.stdout.splitlines()]
    assert [document["SweepFinds"] for document in documents] == [[3], [4]]
    for document in documents:
        [directive] = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Shiftwork"
        assert (directive["Dimensions"], document["stage"]) == ([["stage"]], "prod")
    assert run.stderr == ""


def test_functions_have_no_service_that_would_be_a_dimension() -> None:
    variables = load_template()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["STAGE"] == {"Ref": "Stage"}
    assert "POWERTOOLS_SERVICE_NAME" not in variables


def test_only_outcomes_that_occurred_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    @metrics.log_metrics
    def handler(event: object, context: object) -> None:
        by_outcome = {"held": Metric.JOBS_HELD, "settled": Metric.JOBS_SETTLED}
        count_outcomes({"held": 2, "settled": 0, "completed": 5}, by_outcome)
        count(Metric.JOBS_DISCARDED)

    handler({}, None)
    document = json.loads(capsys.readouterr().out)
    [directive] = document["_aws"]["CloudWatchMetrics"]
    assert {metric["Name"] for metric in directive["Metrics"]} == {"JobsHeld", "JobsDiscarded"}
    assert (document["JobsHeld"], document["JobsDiscarded"]) == ([2], [1])


def test_a_call_without_metrics_writes_nothing(
    capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    metrics.log_metrics(lambda event, context: None)({}, None)
    assert capsys.readouterr().out == ""


def sources() -> dict[Path, str]:
    """Return the text of the code that is deployed, without the catalogue's."""
    paths = [*(ROOT / "functions").rglob("*.py"), *(ROOT / "layers" / "core").rglob("*.py")]
    return {path: path.read_text() for path in paths if path.name != "cloudwatch.py"}


def test_only_the_catalogue_names_metrics() -> None:
    names = {metric.value for metric in Metric}
    for path, source in sources().items():
        assert [name for name in names if f'"{name}"' in source] == [], path
        assert path.name == "telemetry.py" or "metrics.add_metric" not in source, path


def test_every_metric_of_the_catalogue_is_emitted() -> None:
    code = "".join(source for path, source in sources().items())
    code += (ROOT / "layers" / "core" / "shiftwork_core" / "cloudwatch.py").read_text()
    assert [metric for metric in Metric if f"Metric.{metric.name}" not in code] == []
