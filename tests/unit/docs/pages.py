"""Read the Markdown pages of the repository: their blocks, prose and inline code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "sdk" / "README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is where its text starts."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    """Return the page's path from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """Yield the page's fenced blocks of some languages, or all."""
    text = page.read_text()
    for match in _FENCE.finditer(text):
        indent, language, content = match.groups()
        if not languages or language in languages:
            lines = [line.removeprefix(indent) for line in content.splitlines(keepends=True)]
            yield Block(page, text.count("\n", 0, match.start(3)) + 1, language, "".join(lines))


def prose(page: Path) -> str:
    """Return the page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def inline_code(page: Path) -> list[str]:
    """Return the inline code of the page's prose."""
    return _CODE.findall(prose(page))
