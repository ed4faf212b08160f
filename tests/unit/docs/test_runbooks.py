"""Each alarm has a runbook and each runbook an alarm, and they name only what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from shiftwork_core.domain.metrics.cloudwatch import Metric
from tests.template import ROOT, as_text, load_template, resources
from tests.unit.docs.pages import inline_code
from tools import draw_metrics
from tools.alarms import ALARMS, Alarm

FOLDER = ROOT / "docs" / "runbooks"
INDEX = FOLDER / "README.md"
RUNBOOKS = sorted({*FOLDER.glob("*.md")} - {INDEX})
COMPOSITE = resources("AWS::CloudWatch::CompositeAlarm")
_RUNBOOK = re.compile(r"^\$\{AWS::StackName\}: [^.]+\. See (docs/runbooks/[\w-]+\.md)$")
#: A word of two parts at least, such as a metric's or a resource's name.
_NAME = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)+")
#: What AWS or a worker calls so.
_OTHERS = {"AccessDenied", "ReservedConcurrentExecutions", "IteratorAge"}


def runbook_of(entry: dict[str, Any]) -> Path:
    """Return the runbook at the end of an alarm's description."""
    found = _RUNBOOK.match(as_text(entry["Properties"]["AlarmDescription"]))
    assert found is not None, entry["Properties"]["AlarmDescription"]
    return ROOT / found[1]


def test_each_alarm_has_a_runbook_and_each_runbook_an_alarm() -> None:
    assert sorted(runbook_of(entry) for entry in ALARMS.values()) == RUNBOOKS
    assert [runbook_of(entry) for entry in COMPOSITE.values()] == [INDEX]


@pytest.mark.parametrize("name", ALARMS)
def test_a_runbook_says_which_alarm_what_it_means_where_to_look_and_what_to_do(name: str) -> None:
    text = runbook_of(ALARMS[name]).read_text()
    assert re.match(rf"# .+\n\n`{name}`: [^\n]+\. It pages( nobody)?\.\n\n## ", text)
    *parts, last = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert parts == ["What it means", "Look here", "Do this"]
    commands = [*map(str.splitlines, re.findall(r"```sh\n(.+?)```", text, re.DOTALL))]
    assert len(commands) >= 2
    is_test = all(" -m pytest " in command for command in commands[-1])
    tries = "tools.alarms" in text or "sam remote invoke" in text
    assert last == ("See its test" if is_test and not tries else "Try it locally")


def test_the_runbooks_page_as_the_template_does() -> None:
    [paging] = COMPOSITE.values()
    rule = as_text(paging["Properties"]["AlarmRule"]["Fn::Join"][1])
    for name, entry in ALARMS.items():
        pages = "It pages.\n" in runbook_of(entry).read_text()
        assert pages == (f"${{{name}}}" in rule), name
        text = INDEX.read_text()
        before = text[: text.index(f"({runbook_of(entry).name})")]
        assert before.rpartition("\n## ")[2].startswith("They page\n") == pages, name


@pytest.mark.parametrize("page", [INDEX, *RUNBOOKS], ids=lambda page: page.stem)
def test_a_runbook_names_only_metrics_and_resources_that_there_are(page: Path) -> None:
    template = load_template()
    known = {metric.value for metric in Metric} | _OTHERS
    known |= {*template["Resources"], *template["Parameters"]}
    named = {code for code in inline_code(page) if _NAME.fullmatch(code)}
    assert named - known == set()


@pytest.mark.parametrize("name", ALARMS)
def test_a_runbook_names_the_metric_of_ours_that_rings(name: str) -> None:
    metrics = Alarm.named(name).metrics
    if len(metrics) == 1 and metrics[0].series.namespace == "Shiftwork":
        assert f"`{metrics[0].series.name}`" in runbook_of(ALARMS[name]).read_text()


def test_the_page_of_metrics_is_the_one_drawn() -> None:
    assert draw_metrics.PAGE.read_text() == draw_metrics.draw()
