"""The report of a verification, as Markdown that can be attached to an issue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from shiftwork.local.verify.figures import FIGURES, Expected, Figure
from shiftwork.local.verify.removal import Left


class Verdict(StrEnum):
    """How a part of a verification, or all of it, ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"
    #: Nothing is wrong, but not everything could be seen.
    INCOMPLETE = "INCOMPLETE"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was run.

    Attributes
    ----------
    note
        Why it was skipped, or how it failed; several lines at most.
    """

    name: str
    verdict: Verdict
    took_s: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure, what is expected, and what was found: None if the source does not show it."""

    figure: Figure
    expected: float
    found: float | None
    is_shown: bool = True

    @property
    def verdict(self) -> Verdict:
        """Return whether both agree; SKIPPED if the source never shows this figure."""
        if self.found is None:
            return Verdict.INCOMPLETE if self.is_shown else Verdict.SKIPPED
        is_near = self.figure.holds(self.expected, self.found)
        return Verdict.PASSED if is_near else Verdict.FAILED


def compare(
    expected: Expected, found: Mapping[str, float | None], hidden: frozenset[str] = frozenset()
) -> list[Comparison]:
    """Compare every figure; `hidden` are those that the source never shows."""
    return [
        Comparison(one, expected.figures[one.key], found.get(one.key), one.key not in hidden)
        for one in FIGURES
    ]


@dataclass(slots=True)
class Report:
    """What was run where, what was found, and what is left of it.

    Attributes
    ----------
    facts
        Versions, region, times: what a reader needs to judge the rest.
    source
        Where the counts came from.
    """

    facts: dict[str, str]
    expected: Expected
    source: str = ""
    parts: list[Part] = field(default_factory=list)
    comparisons: Sequence[Comparison] = ()
    left: Sequence[Left] = ()

    @property
    def verdict(self) -> Verdict:
        """Return the verdict: the worst of all parts; FAILED if anything is left behind."""
        found = {part.verdict for part in self.parts}
        found |= {comparison.verdict for comparison in self.comparisons}
        if self.left or Verdict.FAILED in found:
            return Verdict.FAILED
        is_whole = self.comparisons and Verdict.INCOMPLETE not in found
        return Verdict.PASSED if is_whole else Verdict.INCOMPLETE

    def to_markdown(self) -> str:
        """Return the report."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# shiftwork verify: {self.verdict}"
        yield from _table(("", ""), self.facts.items())
        yield "\n## What was run"
        rows = [(one.name, one.verdict, f"{one.took_s:.0f} s") for one in self.parts]
        yield from _table(("part", "verdict", "took"), rows)
        for part in self.parts:
            if part.note:
                yield f"\n{part.name}: {part.verdict}.\n\n```text\n{part.note}\n```"
        yield f"\n## Counts of a step of {self.expected.jobs:,} jobs"
        if self.comparisons:
            yield f"\nSource: {self.source}."
            yield f"\nExpected is what the benchmarks counted on {self.expected.measured_at[:10]}."
            yield "The quota model makes the same calls."
            yield from _table(
                ("figure", "expected", "found", "verdict", "may differ by"),
                map(_row, self.comparisons),
            )
        else:
            yield "\nNothing was counted."
        yield "\n## What is left"
        yield from self._what_is_left()

    def _what_is_left(self) -> Iterator[str]:
        if not self.left:
            yield "\nNothing: all that was made is removed."
            return
        yield "\nRemove it by hand, or all of it with the last command."
        rows = [(one.what, one.why, f"`{one.command}`") for one in self.left]
        yield from _table(("what", "why", "command"), rows)


def _row(one: Comparison) -> tuple[str, ...]:
    found = "not shown" if one.found is None else f"{one.found:.4g}"
    return one.figure.title, f"{one.expected:.4g}", found, one.verdict, one.figure.allowed


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table; a bar or a line break in a cell would end it."""
    yield ""
    yield _line(head)
    yield _line(["---"] * len(head))
    for row in rows:
        yield _line(row)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', '/') for cell in cells)} |"
