"""Check that the tables of contents list every page."""

from __future__ import annotations

from tests.unit.docs.pages import PAGES, ROOT
from tools import build_docs

INDEX = ROOT / "docs" / "index.md"
DECISIONS = ROOT / "docs" / "decisions"
RUNBOOKS = ROOT / "docs" / "runbooks"


def test_the_index_lists_every_page_once() -> None:
    listed = [entry.page for section in build_docs.contents(INDEX) for entry in section.entries]
    expected = {page for page in PAGES if not {DECISIONS, RUNBOOKS} & {*page.parents}}
    expected -= {INDEX, ROOT / "sdk" / "README.md"}
    assert sorted(listed) == sorted(expected | {DECISIONS / "README.md", RUNBOOKS / "README.md"})


def test_the_index_calls_every_page_by_its_title() -> None:
    for section in build_docs.contents(INDEX):
        for entry in section.entries:
            if entry.page != ROOT / "README.md":
                assert entry.title == build_docs.title_of(entry.page)


def test_the_list_of_decisions_is_complete_and_in_order() -> None:
    (section,) = build_docs.contents(DECISIONS / "README.md")
    listed = [entry.page for entry in section.entries]
    assert listed == sorted(DECISIONS.glob("0*.md"))


def test_the_list_of_runbooks_is_complete() -> None:
    listed = [
        e.page for section in build_docs.contents(RUNBOOKS / "README.md") for e in section.entries
    ]
    assert sorted(listed) == sorted({*RUNBOOKS.glob("*.md")} - {RUNBOOKS / "README.md"})


def test_decisions_are_numbered_without_a_gap() -> None:
    for number, page in enumerate(sorted(DECISIONS.glob("0*.md")), start=1):
        assert page.name.startswith(f"{number:04d}-")
        assert page.read_text().startswith(f"# {number}. ")
