"""Follow docs/how-to/wide.md in memory: each command works, and answers as the page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from shiftwork_core.adapters.memory import MemoryManifestSource
from shiftwork_core.domain.requests.manifests.places import Place
from tests.unit.docs.pages import ROOT, Block, blocks
from tests.unit.docs.reader import (
    UUID,
    Reader,
    dialogue,
    normal,
    pattern_of,
    reader,  # noqa: F401  (a fixture)
)
from tests.unit.functions.api.conftest import Api, api, world  # noqa: F401  (fixtures)

PAGE = ROOT / "docs" / "how-to" / "wide.md"
#: Rows that are bad, and their amounts.
BAD = {100: "1,200", 250: "12,000", 499: "n/a", 500: "", 999: "3,000,000"}


@pytest.fixture
def request_ids() -> Iterator[str]:
    """Return the ids of the page's own requests, in order."""
    return iter(dict.fromkeys(UUID.findall(PAGE.read_text())))


def rows() -> bytes:
    lines = [f'r{n},"{BAD.get(n, n)}"' for n in range(1000)]
    return "\n".join(["id,amount", *lines]).encode()


def write(reader: Reader, block: Block) -> None:  # noqa: F811
    """Keep a definition or a callback; a part replaces the line that reads the amount."""
    if block.language == "python" and "@callback" not in block.text:
        line = re.compile(r'    amount = row\["amount"\]\n')
        text, count = line.subn(lambda _: block.text, reader.callbacks)
        assert count == 1
        block = Block(block.page, block.line, block.language, text)
    reader.write(block)


def test_the_commands_of_the_page_answer_as_shown(reader: Reader) -> None:  # noqa: F811
    source = reader.api.world.ports.manifests
    assert isinstance(source, MemoryManifestSource)
    commands = 0
    for block in blocks(PAGE, "python", "yaml", "console"):
        if block.language != "console":
            write(reader, block)
            continue
        for command, shown in dialogue(block):
            if command == "aws s3 cp rows.csv s3://uploads/rows.csv":
                source.put(Place("uploads", "rows.csv"), rows())
                continue
            output, expected = normal(reader.type(command)), normal(shown)
            if command == "shiftwork retry last":
                reader.pass_time(1)
            found = "".join(f"{line}\n" for line in output)
            assert re.fullmatch(pattern_of(expected), found), f"{block}: {command}\n{found}"
            commands += 1
    assert commands == 7
