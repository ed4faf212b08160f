from benchmarks.report import Figure, Section, at_most


def test_a_budget_is_held_by_what_equals_it() -> None:
    assert at_most("writes", 3.5, 3.5, "{:.2f}").verdict == "held"
    assert at_most("writes", 3.51, 3.5, "{:.2f}").verdict == "MISSED"


def test_what_has_no_budget_has_no_verdict() -> None:
    assert Figure("reads", "0.57").verdict == ""


def test_a_section_becomes_a_table_of_the_docs() -> None:
    section = Section("Counts", [at_most("writes", 3.5, 3.5, "{:.2f}", "of a job")])

    assert section.to_markdown().splitlines()[-2:] == [
        "| --- | --- | --- | --- | --- |",
        "| writes | 3.50 | 3.50 | held | of a job |",
    ]
