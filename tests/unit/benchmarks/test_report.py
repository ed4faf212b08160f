"""Figures, their verdicts, and their tables."""

from benchmarks.report import Figure, Section, at_most


def test_a_figure_equal_to_its_budget_holds_it() -> None:
    assert at_most("writes", 3.5, 3.5, "{:.2f}").verdict == "held"
    assert at_most("writes", 3.51, 3.5, "{:.2f}").verdict == "MISSED"


def test_a_figure_without_a_budget_has_no_verdict() -> None:
    assert Figure("reads", "0.57").verdict == ""


def test_a_section_is_printed_as_a_table_for_the_docs() -> None:
    section = Section("Counts", [at_most("writes", 3.5, 3.5, "{:.2f}", "of a job")])

    assert section.to_markdown().splitlines()[-2:] == [
        "| --- | --- | --- | --- | --- |",
        "| writes | 3.50 | 3.50 | held | of a job |",
    ]
