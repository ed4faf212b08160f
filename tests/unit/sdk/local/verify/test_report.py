"""What is compared, how far off it may be, and what the report says of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shiftwork.local.verify.figures import FIGURES, Figure, read_expected
from shiftwork.local.verify.removal import Left
from shiftwork.local.verify.report import Comparison, Part, Report, Verdict, compare
from tools import draw_expected

EXPECTED = read_expected()
DEPLOYED = Part("deploy", Verdict.PASSED, 61.0)
LEFT = Left("the table t", "AccessDenied | nobody may\nsay why", "aws dynamodb delete-table t")


def a_report(**changes: object) -> Report:
    found = compare(EXPECTED, EXPECTED.figures)
    report = Report({"where": "AWS, eu-west-1"}, EXPECTED, "CloudWatch", [DEPLOYED], found)
    return replace(report, **changes)  # type: ignore[arg-type]  # What a test changes.


def test_what_is_expected_is_what_the_benchmarks_counted() -> None:
    """If this fails: `.venv/bin/python tools/draw_expected.py`."""
    assert draw_expected.FILE.read_text() == draw_expected.draw()


def test_every_figure_has_an_expectation() -> None:
    assert {figure.key for figure in FIGURES} == set(EXPECTED.figures)
    assert all(value > 0 for value in EXPECTED.figures.values())


@pytest.mark.parametrize(
    ("found", "holds"), [(7.4, False), (7.6, True), (12.4, True), (12.6, False)]
)
def test_a_figure_may_differ_by_its_tolerance_in_both_directions(found: float, holds: bool) -> None:
    figure = Figure("x", "x", tolerance=0.2, slack=0.5, why="")
    assert figure.holds(10.0, found) is holds


def test_a_job_that_is_written_a_fourth_time_is_noticed() -> None:
    found = {**EXPECTED.figures, "job_write_units": 4.0}
    wrong = [one.figure.key for one in compare(EXPECTED, found) if one.verdict is Verdict.FAILED]
    assert wrong == ["job_write_units"]
    assert a_report(comparisons=compare(EXPECTED, found)).verdict is Verdict.FAILED


def test_a_report_passes_if_all_that_its_source_can_show_is_near() -> None:
    assert a_report().verdict is Verdict.PASSED
    blind = {**EXPECTED.figures, "read_units": None}
    hidden = compare(EXPECTED, blind, frozenset({"read_units"}))
    assert a_report(comparisons=hidden).verdict is Verdict.PASSED


def test_a_figure_that_was_not_shown_in_time_makes_the_report_incomplete() -> None:
    found = {**EXPECTED.figures, "read_units": None}
    report = a_report(comparisons=compare(EXPECTED, found))
    assert report.verdict is Verdict.INCOMPLETE
    assert "| not shown | INCOMPLETE |" in report.to_markdown()


def test_a_report_that_counted_nothing_never_passes() -> None:
    assert a_report(comparisons=[]).verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize(
    "changes", [{"left": [LEFT]}, {"parts": [DEPLOYED, Part("demo", Verdict.FAILED)]}]
)
def test_what_is_left_and_a_part_that_fails_fail_the_report(changes: dict[str, object]) -> None:
    assert a_report(**changes).verdict is Verdict.FAILED


def test_the_report_says_what_is_left_and_how_to_remove_it_in_whole_rows() -> None:
    text = a_report(left=[LEFT]).to_markdown()
    row = "| the table t | AccessDenied / nobody may say why | `aws dynamodb delete-table t` |"
    assert row in text.splitlines()


def test_the_report_says_where_it_ran_what_it_compared_and_why_something_was_skipped() -> None:
    skipped = Part("shiftwork demo-workspaces", Verdict.SKIPPED, note="It needs this machine.")
    text = a_report(parts=[DEPLOYED, skipped]).to_markdown()
    assert text.startswith("# shiftwork verify: passed\n")
    for line in (
        "| where | AWS, eu-west-1 |",
        "| deploy | passed | 61 s |",
        "It needs this machine.",
        "Source: CloudWatch.",
        "Nothing: all that was made is removed.",
    ):
        assert line in text.splitlines()
    assert all(figure.title in text for figure in FIGURES)


def test_a_comparison_names_its_tolerance() -> None:
    [figure] = [figure for figure in FIGURES if figure.key == "job_write_units"]
    assert figure.allowed.startswith("15%: ")
    assert Comparison(figure, 3.0, 3.4).verdict is Verdict.PASSED
