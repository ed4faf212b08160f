"""tools/build_docs.py, up to the generator, which `make docs` runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT
from tools import build_docs


def test_the_list_for_language_models_has_every_page_with_its_title() -> None:
    text = build_docs.llms_text()
    assert text.startswith("# Shiftwork\n\n> Shiftwork runs requests made of ordered steps")
    listed = re.findall(r"^- \[(.+)\]\((.+)\): (.+)$", text, re.MULTILINE)
    pages = {page.relative_to(ROOT).as_posix() for page in build_docs.pages()[1:]}
    openapi = "docs/reference/openapi.json"
    assert {path for _, path, _ in listed} == pages | {openapi}
    for title, path, description in listed:
        assert (ROOT / path).is_file()
        assert path == openapi or (ROOT / path).read_text().startswith(f"# {title}\n")
        words = re.sub(r"^\d+\. ", "", title).lower()
        assert not description.lower().startswith(words) and description.lower() not in words


def test_the_menu_is_valid_toml_and_has_every_page_once() -> None:
    text = build_docs._CONFIG.format(nav=build_docs._toml(build_docs.navigation()))
    menu = str(tomllib.loads(text)["project"]["nav"])
    for page in build_docs.pages():
        assert menu.count(f"'{page.relative_to(ROOT).as_posix()}'") == 1


def test_links_and_blocks_of_code_become_what_the_generator_takes(tmp_path: Path) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    folder = tmp_path / "why"
    page.write_text(
        "[a](other.md#x) [b](gone.py) [c](#d) [e](https://x.test) [f](why/)\n"
        "```json 422\n[g](gone.py)\n```\n"
    )
    found = build_docs.as_generated(page, {page, other, folder / "README.md"})
    assert found == (
        "[a](other.md#x) b [c](#d) [e](https://x.test) [f](why/README.md)\n"
        "```json\n[g](gone.py)\n```\n"
    )


def test_broken_links_of_the_built_site_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_docs, "HTML", tmp_path)
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here"></a><a href="b.html#gone"></a><img src="no.svg">'
        '<a href="https://x.test"></a><a href="."></a>'
    )
    (tmp_path / "b.html").write_text('<p id="here"></p><a href="#here"></a>')
    (tmp_path / "index.html").write_text("")
    assert build_docs.broken_links() == ["a.html: b.html#gone", "a.html: no.svg"]
