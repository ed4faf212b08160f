"""Check that docs/reference/settings.md lists exactly the settings that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.template import ROOT, load_template, resources
from tests.unit.docs.pages import PAGES, name_of

PAGE = ROOT / "docs" / "reference" / "settings.md"
_PARTS = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)
SECTIONS = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))
_ROW = re.compile(r"^\| (`[^|]+) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)


def rows(section: str) -> Iterator[tuple[str, str]]:
    """Yield each setting of a section's table with the cell beside it."""
    for names, beside, _ in _ROW.findall(SECTIONS[section]):
        for name in re.findall(r"`(\w+)`", names):
            yield name, beside.strip("`")


def variables_in(file: Path) -> set[str]:
    """Return the SHIFTWORK_ variables that a file names."""
    return set(re.findall(r"\bSHIFTWORK_[A-Z_]+\b", file.read_text()))


def test_the_parameters_and_defaults_are_those_of_the_template() -> None:
    parameters = load_template()["Parameters"]
    assert dict(rows("Template parameters")) == {
        name: str(parameter["Default"]) or "(none)" for name, parameter in parameters.items()
    }


def test_the_variables_of_the_functions_are_those_of_the_template() -> None:
    def variables(entry: dict[str, dict[str, dict[str, str]]]) -> set[str]:
        return set(entry.get("Environment", {}).get("Variables", {}))

    expected = {(name, "all") for name in variables(load_template()["Globals"]["Function"])}
    for entry in resources("AWS::Serverless::Function").values():
        function = entry["Properties"]["CodeUri"].removeprefix("functions/")
        expected |= {(name, function) for name in variables(entry["Properties"])}
    assert set(rows("In the functions")) == expected


def test_the_variables_of_the_machine_are_those_that_the_sdk_reads() -> None:
    known = set().union(*map(variables_in, (ROOT / "sdk").rglob("*.py")))
    listed = {name for name, _ in rows("On the machine that runs `shiftwork`")}
    others = {"NO_COLOR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "XDG_STATE_HOME"}
    assert listed == known | others | {"SSL_CERT_FILE", "SSL_CERT_DIR"}


def test_the_variables_of_the_tests_are_those_that_they_read() -> None:
    read = re.compile(r"environ\.get\(\"(SHIFTWORK_[A-Z_]+)\"\)")
    tests = (ROOT / "tests" / "contract").rglob("*.py")
    expected = {name for file in tests for name in read.findall(file.read_text())}
    assert {name for name, _ in rows("In the tests")} == expected


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_names_a_variable_that_does_not_exist(page: Path) -> None:
    assert variables_in(page) <= variables_in(PAGE)
