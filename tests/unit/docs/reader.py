"""Do in memory what a page of the documentation says: commands, definitions, callbacks."""

from __future__ import annotations

import io
import json
import logging
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from shiftwork.api.client import ShiftworkClient
from shiftwork.cli import app as commands
from shiftwork.cli import asking, connection
from shiftwork_core.adapters.aws.logs import LogLine
from shiftwork_core.ports.stores import Page
from tests.unit.docs.pages import ROOT, Block
from tests.unit.functions.api.conftest import Api, api, world  # noqa: F401  (fixtures)
from tests.unit.sdk.transports import FakeTransport

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+Z)?")
_SPAN = re.compile(r"\b(?:\d+ [dhm] \d\d [hms]|\d+\.\d s)\b")


class Reader(logging.Handler):
    """Does what a page says, in a folder of its own and against an engine in memory."""

    def __init__(self, api: Api, folder: Path) -> None:  # noqa: F811
        super().__init__()
        self.api = api
        self.callbacks = ""
        self.definitions = folder / "definitions" / "invoices.yaml"
        self.definitions.parent.mkdir()
        for file in (ROOT / "definitions").glob("*.yaml"):
            shutil.copy(file, self.definitions.parent)
        self.lines: list[logging.LogRecord] = []

    def write(self, block: Block) -> None:
        """Keep a definition or a callback; a part replaces the line that raises `Failure`."""
        if block.language == "yaml":
            self.definitions.write_text(block.text)
            return
        if "@callback" in block.text:
            self.callbacks = block.text
        else:
            self.callbacks = re.sub(r" +raise Failure.*\n", lambda _: block.text, self.callbacks)
        exec(compile(self.callbacks, str(block), "exec"), {})

    def type(self, command: str) -> str:
        """Run a command and return its output."""
        words = shlex.split(command)
        self.pass_time(1)
        return CliRunner().invoke(commands.app, words[1:], input="y\n").output

    def pass_time(self, seconds: float) -> None:
        self.api.world.clock.advance(seconds)
        self.api.world.run()

    def send(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a call of the client."""
        with redirect_stdout(io.StringIO()):  # The function prints metrics.
            answer = self.api(
                request.method,
                request.url.path,
                raw=request.content.decode() or None,
                query=request.url.query.decode(),
                headers=dict(request.headers),
            )
        return httpx2.Response(answer.status, text=answer.text, headers=answer.headers)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record)

    def find(self, attempt: Any, limit: int, next_token: str | None) -> Page[LogLine]:
        """Return the log of an attempt, in place of CloudWatch."""
        own = [r for r in self.lines if getattr(r, "attempt_id", "") == attempt.attempt_id]
        texts = [json.dumps({"level": r.levelname, "message": r.getMessage()}) for r in own]
        return Page([LogLine(self.api.world.clock(), text) for text in texts])


@pytest.fixture
def reader(
    api: Api,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Reader]:
    reader = Reader(api, tmp_path)
    transport = FakeTransport(reader.send)
    monkeypatch.setattr(
        connection, "connect", lambda: ShiftworkClient("http://api.test", "t", transport=transport)
    )
    monkeypatch.setattr(asking, "has_terminal", lambda: True)
    monkeypatch.setattr("time.sleep", reader.pass_time)
    monkeypatch.setattr(api.app.request_routes, "JobLogs", lambda *_: reader)
    monkeypatch.setattr(api.app.request_routes.bootstrap.world, "client", lambda _: None)
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("shiftwork.callbacks")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.addHandler(reader)
    yield reader
    logger.removeHandler(reader)


def dialogue(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with its output."""
    text = block.text.replace("\\\n", "")
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def normal(text: str) -> list[str]:
    """Return the text's lines without what differs from run to run."""
    for pattern, word in ((_TIME, "<time>"), (_SPAN, "<span>"), (re.compile(r"  +"), "  ")):
        text = pattern.sub(word, text)
    return [line.strip() for line in text.splitlines()]


def pattern_of(lines: list[str]) -> str:
    """Return the expression that the lines match: `…` stands for what was left out."""
    texts = "".join(f"{re.escape(line)}\n" for line in lines)
    return re.sub(r"^…\n", r"(?:.*\n)*?", texts, flags=re.MULTILINE).replace("…", ".*")
