"""The page of metrics says what the catalogue says."""

from __future__ import annotations

import re

from shiftwork_core.domain.metrics.catalogue import COUNTERS, GAUGES, HISTOGRAMS, PREFIX
from shiftwork_core.services.metrics.gauges import MOST_SHARDS
from tests.unit.docs.pages import ROOT

PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()
_ROW = re.compile(r"^\| `(\w+)` \| ([\w`, ]*) \| (.+) \|$", re.MULTILINE)


def rows(section: str) -> list[tuple[str, list[str], str]]:
    """Return the metrics of a section: name, labels, help."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [(n, re.findall(r"\w+", labels), help) for n, labels, help in _ROW.findall(text)]


def test_every_metric_is_on_the_page_with_its_labels_and_help() -> None:
    assert rows("Counters") == [
        (f"{PREFIX}{c.name}_total", [*c.labels, *([c.by] if c.by else [])], c.help)
        for c in COUNTERS
    ]
    assert rows("Histograms") == [
        (f"{PREFIX}{h.name}_seconds", [*h.labels], h.help) for h in HISTOGRAMS
    ]
    assert rows("Gauges") == [(PREFIX + g.name, [*g.labels], g.help) for g in GAUGES.values()]


def test_the_page_has_the_bounds_of_the_code() -> None:
    for histogram in HISTOGRAMS:
        bounds = ", ".join(f"{bound:g}" for bound in histogram.histogram.bounds_s)
        assert bounds in " ".join(PAGE.split())
    assert f"at most {MOST_SHARDS} of them" in PAGE
