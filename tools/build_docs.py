"""Build the pages as a site with search, and llms.txt, and check its links: `make docs`.

The pages are copied as they lie in the repository, so that links between them stay; docs/index.md
gives their order. What the copy leaves out (tests, code, LICENSE) is no link there but text.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shiftwork.local import tools

ROOT = Path(__file__).resolve().parents[1]
INDEX = ROOT / "docs" / "index.md"
SITE = ROOT / ".site"
PAGES, HTML = SITE / "pages", SITE / "html"
#: Files, besides pages, that readers load into a tool.
FILES = [
    ROOT / "docs" / "reference" / "openapi.json",
    ROOT / "docs" / "grafana" / "shiftwork.json",
    ROOT / "docs" / "grafana" / "alerts.yml",
]

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)]+)\): (.+)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_AFTER_LANGUAGE = re.compile(r"\A( *```\w+)[^\n]*")

_CONFIG = """\
[project]
site_name = "Shiftwork"
site_description = "Requests made of ordered steps of parallel jobs, with no server to operate."
docs_dir = "pages"
site_dir = "html"
use_directory_urls = false
nav = {nav}

[project.theme]
language = "en"
font = false
features = ["content.code.copy", "navigation.footer", "navigation.indexes", "navigation.path",
    "navigation.sections", "navigation.top", "search.highlight", "toc.follow"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Switch to dark mode"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Switch to light mode"

[project.markdown_extensions]
attr_list = {{}}
md_in_html = {{}}
tables = {{}}
toc.permalink = true
pymdownx.highlight.anchor_linenums = true
pymdownx.inlinehilite = {{}}
pymdownx.superfences.custom_fences = [
  {{ name = "mermaid", class = "mermaid", format = "pymdownx.superfences.fence_code_format" }},
]
"""


@dataclass(frozen=True)
class Entry:
    """A line of a table of contents."""

    title: str
    page: Path
    description: str


@dataclass(frozen=True)
class Section:
    """A heading of a table of contents and the pages below it; no heading, no title."""

    title: str
    entries: list[Entry]


def contents(index: Path) -> list[Section]:
    """Return what a table of contents lists, in its order."""
    before, *parts = _SECTION.split(index.read_text())
    pairs = [("", before), *zip(parts[::2], parts[1::2], strict=True)]
    sections = [Section(title, list(_entries(index, text))) for title, text in pairs]
    return [section for section in sections if section.entries]


def _entries(index: Path, text: str) -> Iterator[Entry]:
    for title, link, description in _ENTRY.findall(text):
        yield Entry(title, (index.parent / link).resolve(), description)


def pages() -> list[Path]:
    """Return every page of the site, in order."""
    found = [INDEX]
    for page in (entry.page for section in contents(INDEX) for entry in section.entries):
        found += [page, *(entry.page for section in _below(page) for entry in section.entries)]
    return found


def _below(page: Path) -> list[Section]:
    """Return the contents of a folder's README, which is an index of its own."""
    return contents(page) if page.name == "README.md" and page.parent != ROOT else []


def navigation() -> list[dict[str, object]]:
    """Return the site's menu."""
    menu: list[dict[str, object]] = [{"Overview": "README.md"}, {"Contents": _name(INDEX)}]
    for section in contents(INDEX):
        below: list[dict[str, object]] = []
        for entry in section.entries:
            more = [{e.title: _name(e.page)} for part in _below(entry.page) for e in part.entries]
            name = _name(entry.page)
            if name != "README.md":
                below.append({entry.title: [{entry.title: name}, *more] if more else name})
        menu.append({section.title: below})
    return menu


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def stage() -> None:
    """Copy the pages, and what they show, to a folder of their own."""
    shutil.rmtree(SITE, ignore_errors=True)
    known = set(pages())
    for page in known:
        target = PAGES / _name(page)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(as_generated(page, known))
    shutil.copytree(ROOT / "docs" / "images", PAGES / "docs" / "images")
    for file in FILES:
        target = PAGES / _name(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def as_generated(page: Path, known: set[Path]) -> str:
    """Return a page as the generator takes it.

    Links to what the site does not have are text, and a block of code names its language only.
    """

    def replaced(match: re.Match[str]) -> str:
        path, mark, anchor = match[2].partition("#")
        target = (page.parent / path).resolve()
        if not path or urlsplit(match[2]).scheme or target in {*known, *FILES}:
            return match[0]
        if target / "README.md" in known:
            return f"[{match[1]}]({path}README.md{mark}{anchor})"
        return match[1]

    text = page.read_text()
    start, result = 0, []
    for fence in _FENCE.finditer(text):
        code = _AFTER_LANGUAGE.sub(r"\1", fence[0], count=1)
        result += [_LINK.sub(replaced, text[start : fence.start()]), code]
        start = fence.end()
    return "".join([*result, _LINK.sub(replaced, text[start:])])


def llms_text() -> str:
    """Return a list of the pages for language models, in the form of llmstxt.org."""
    summary = README_SENTENCE.search((ROOT / "README.md").read_text())
    assert summary is not None
    lines = ["# Shiftwork", "", f"> {' '.join(summary[1].replace('**', '').split())}"]
    for section in contents(INDEX):
        lines += ["", f"## {section.title}", ""]
        lines += [_line(entry) for entry in section.entries]
        more = [part for entry in section.entries for part in _below(entry.page)]
        lines += [_line(entry) for part in more for entry in part.entries]
        lines += [_OPENAPI_LINE] if section.title == "Reference" else []
    return "\n".join([*lines, ""])


_OPENAPI_LINE = (
    "- [OpenAPI document](docs/reference/openapi.json): "
    "every route, body and answer of the HTTP API, as OpenAPI 3.1"
)
README_SENTENCE = re.compile(r"^# .+\n\n((?:.+\n)+)")


def _line(entry: Entry) -> str:
    description = _LINK.sub(r"\1", entry.description)
    return f"- [{title_of(entry.page)}]({_name(entry.page)}): {description}"


def title_of(page: Path) -> str:
    """Return a page's first heading."""
    return page.read_text().partition("\n")[0].removeprefix("# ")


class _Links(HTMLParser):
    """Collects what a page links to, and the ids that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag's id, href, src and srcset."""
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src", "srcset") and value:
                self.links.append(value)


def broken_links() -> list[str]:
    """Return every link of the built site, as `page: link`, that leads nowhere within it."""
    parsed = {}
    for file in sorted(HTML.rglob("*.html")):
        parsed[file] = _Links()
        parsed[file].feed(file.read_text())
    return [
        f"{file.relative_to(HTML)}: {link}"
        for file, found in parsed.items()
        if file.name != "404.html"
        for link in found.links
        if not _leads_somewhere(file, link, parsed)
    ]


def _leads_somewhere(file: Path, link: str, parsed: dict[Path, _Links]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    target = target / "index.html" if target.is_dir() else target
    anchor = unquote(parts.fragment)
    is_known = not anchor or target not in parsed or anchor in parsed[target].ids
    return target.exists() and is_known


def main() -> int:
    """Build the site; return 1 if one of its links leads nowhere."""
    stage()
    (SITE / "zensical.toml").write_text(_CONFIG.format(nav=_toml(navigation())))
    cache = ROOT / ".shiftwork"
    folder = tools.environment(ROOT, cache, "docs", print)
    command = [str(folder / "zensical"), "build", "--clean", "--strict"]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=SITE, env=environ, check=False)
    if done.returncode:
        return done.returncode
    (HTML / "llms.txt").write_text(llms_text())
    for page in pages():
        shutil.copy(PAGES / _name(page), HTML / _name(page))
    broken = broken_links()
    print(*broken, sep="\n", end="\n" if broken else "")
    print(f"{len(pages())} pages in {_name(HTML)}, {len(broken)} broken links.")
    print(f"See them with: python3 -m http.server --directory {_name(HTML)} 8000")
    return 1 if broken else 0


def _toml(value: object) -> str:
    """Return a menu as TOML."""
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


if __name__ == "__main__":
    sys.exit(main())
