"""Follow docs/how-to/test.md: its tests pass in a project made of its blocks."""

from __future__ import annotations

from pathlib import Path

from tests.unit.docs.pages import ROOT, blocks
from tests.unit.testing.test_plugin import run_tests

PAGE = ROOT / "docs" / "how-to" / "test.md"


def write_project(folder: Path) -> list[str]:
    """Write the page's project; return its tests."""
    for name in ("definitions", "callbacks", "tests"):
        (folder / name).mkdir()
    tests = []
    for block in blocks(PAGE, "python", "yaml", "toml"):
        if block.language == "toml":
            (folder / "shiftwork.toml").write_text(block.text)
        elif block.language == "yaml":
            (folder / "definitions" / "invoices.yaml").write_text(block.text)
        elif "@callback" in block.text:
            (folder / "callbacks" / "invoices.py").write_text(block.text)
        else:
            tests.append(block.text)
    return tests


def test_the_tests_of_the_page_pass_and_one_that_is_wrong_fails_as_shown(tmp_path: Path) -> None:
    tests = write_project(tmp_path)
    file = tmp_path / "tests" / "test_invoices.py"
    file.write_text("\n\n".join(tests))
    assert f"{len(tests)} passed" in run_tests(tmp_path)
    file.write_text(tests[0].replace("timedelta(seconds=6)", "timedelta(seconds=5)"))
    said = run_tests(tmp_path)
    shown = next(b.text for b in blocks(PAGE, "text") if "what became of" in b.text)
    for line in shown.splitlines():
        assert line.split(" == ")[0] in said
