"""Counts in the pages of what is deployed, and the scopes they name, are those of the template."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from shiftwork_core.routes import Scope
from tests.template import ROOT, resources

FUNCTIONS = resources("AWS::Serverless::Function")
TABLES = resources("AWS::DynamoDB::Table")
ALARMS = resources("AWS::CloudWatch::Alarm")
QUEUES = resources("AWS::SQS::Queue")
#: A page may count these things in these words; what each counts is written down here.
COUNTED = {
    ("functions", ""): len(FUNCTIONS),
    ("functions", "of workspaces"): sum("Workspaces" in name for name in FUNCTIONS),
    ("tables", ""): len(TABLES),
    ("tables", "(requests"): sum("StreamSpecification" in t["Properties"] for t in TABLES.values()),
    ("alarms", ""): len(ALARMS),
    ("alarms", "0.30 of the lifecycle"): sum(
        any(word in name for word in ("Lifecycle", "LateSwitch", "SwitchDead")) for name in ALARMS
    ),
    ("queues", ""): len(QUEUES) // 2,  # Each has one of dead letters.
    ("state machines", ""): len(resources("AWS::Serverless::StateMachine")),
    ("layers", ""): len(resources("AWS::Serverless::LayerVersion")),
    ("scopes", ""): len(Scope),
}
#: At most so many are measured, whatever there are.
COUNTED["queues", "are measured"] = 500
#: The same count in other words.
COUNTED |= {
    ("tables", words): COUNTED["tables", "(requests"]
    for words in ("have a stream", "report", "reach", "next to", "once a minute")
}
NUMBERS = dict(
    zip(
        (
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ),
        range(2, 13),
        strict=True,
    )
)
_COUNT = re.compile(
    rf"(?<![\w.,-])({'|'.join(NUMBERS)}|\d+) (functions|tables|alarms|queues|layers|scopes)\b(?!/)"
    r"(?P<then>[^|]{0,30})",
    re.IGNORECASE,
)


def counts() -> Iterator[tuple[str, str, str, str]]:
    """Yield each count of the pages: where, how many, of what, and the words behind it."""
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "ARCHITECTURE.md"]
    for page in sorted(pages):
        if page.parent.name == "decisions":  # They say what was.
            continue
        text = page.read_text().replace("\n", " ")
        for found in _COUNT.finditer(text):
            yield str(page.relative_to(ROOT)), found[1], found[2].lower(), found["then"]


@pytest.mark.parametrize(
    "count", list(counts()), ids=lambda count: f"{count[0]}: {count[1]} {count[2]}"
)
def test_a_count_of_a_page_is_that_of_the_template(count: tuple[str, str, str, str]) -> None:
    page, number, things, then = count
    words = [w for t, w in COUNTED if t == things and w and w in then]
    expected = COUNTED[things, words[0] if words else ""]
    said = NUMBERS.get(number.lower()) or int(number)
    assert said == expected, f"{page} says {number} {things}{then}: there are {expected}"


def test_the_pages_count_something() -> None:
    assert {things for _, _, things, _ in counts()} >= {"functions", "tables", "alarms", "queues"}


def test_the_page_on_the_api_names_every_scope_and_no_other() -> None:
    tokens = (ROOT / "docs" / "reference" / "api.md").read_text().partition("## Tokens")[2]
    table = tokens.partition("## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(named) == sorted(scope.value for scope in Scope)


def test_no_page_speaks_of_a_scope_that_does_not_exist() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        named = re.findall(r"scopes? `(\w+)`", page.read_text())
        assert set(named) <= {scope.value for scope in Scope}, page


def test_the_deployments_token_worker_is_nowhere_said_to_have_its_own_scope() -> None:
    """It has the scope `invite`; tokens of the scope `worker` are those of single workers."""
    for page in ("docs/how-to/deploy.md", "docs/reference/api.md"):
        text = " ".join((ROOT / page).read_text().split())
        assert re.search(r"`worker` has the scope `invite`", text), page
