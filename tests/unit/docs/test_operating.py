"""Compare the page on operating with the code and the template."""

from __future__ import annotations

import re

from tests.template import ROOT, as_text, resources
from tools.alarms import ALARMS
from tools.draw_dashboard import body

OPERATE = ROOT / "docs" / "how-to" / "operate.md"
CORE = ROOT / "layers" / "core" / "shiftwork_core"


def first_cells(heading: str) -> list[str]:
    """Return the texts between backticks in the first column of a table of operate.md."""
    table = OPERATE.read_text().partition(f"\n| {heading} | ")[2].partition("\n\n")[0]
    cells = (line.split("|")[1] for line in table.splitlines()[1:])
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


def test_the_phrases_of_explain_on_the_page_occur_in_the_code() -> None:
    sources = "".join(path.read_text() for path in CORE.rglob("*.py"))
    phrases = first_cells("it says")
    assert len(phrases) > 5
    assert [phrase for phrase in phrases if phrase not in sources] == []


def test_every_error_that_the_engine_records_is_explained() -> None:
    sources = "".join(path.read_text() for path in CORE.rglob("*.py"))
    recorded = set(re.findall(r"(?:Job|Request)Error\(\s*\"(\w+)\"", sources))
    assert recorded - set(first_cells("error")) == {
        "Failed",
        "UnknownTarget",
    }  # These two are unreachable.


def test_the_page_says_of_each_alarm_whether_it_wakes_somebody() -> None:
    section = OPERATE.read_text().partition("\n## The alarms\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \|([^|]*)\|([^|]*)\|$", section, re.MULTILINE)
    [paging] = resources("AWS::CloudWatch::CompositeAlarm").values()
    rule = as_text(paging["Properties"]["AlarmRule"])
    expected: tuple[list[str], list[str]] = ([], [])
    for name, entry in ALARMS.items():
        runbook = as_text(entry["Properties"]["AlarmDescription"]).rpartition("docs/")[2]
        expected["${" + name + "}" not in rule].append(runbook)
    linked = [
        re.findall(r"\.\./(runbooks/[\w-]+\.md)", "".join(cells))
        for cells in zip(*rows, strict=True)
    ]
    assert [sorted(pages) for pages in linked] == [sorted(pages) for pages in expected]


def test_the_questions_of_the_page_are_the_rows_of_the_dashboard_in_their_order() -> None:
    section = OPERATE.read_text().partition("\n## What to look at")[2].partition("\n## ")[0]
    asked = re.findall(r"^\| \d \| ([^|]+\?) \|", section, re.MULTILINE)
    texts = [w["properties"]["markdown"] for w in body()["widgets"] if w["type"] == "text"]
    assert asked == [text.removeprefix("## ") for text in texts]


def test_the_page_names_the_log_group_of_every_function() -> None:
    section = OPERATE.read_text().partition("\n## Logs\n")[2]
    first = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    named = {name for cell in first for name in re.findall(r"(?:\$STACK)?-([a-z-]+)`", cell)}
    functions = resources("AWS::Serverless::Function").values()
    names = (as_text(entry["Properties"]["FunctionName"]) for entry in functions)
    expected = {name.removeprefix("${AWS::StackName}-") for name in names}
    assert named == expected | {"run-request"}
