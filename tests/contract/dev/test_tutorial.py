"""Follow docs/tutorial.md for real: each command works, and answers as the page shows.

The test ignores ids, times and durations, and the lines between the start and the end of a request
that is followed, because they depend on how often the client looked.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shiftwork.local.emulator import free_port
from tests.contract.dev.test_dev import PATIENCE_S, until
from tests.contract.dev.test_packages import Author, wheels_of
from tests.unit.docs.pages import ROOT, Block, blocks

PAGE = ROOT / "docs" / "tutorial.md"
SETTINGS = """
name = "billing"
region = "us-east-1"
parameters = {PythonRuntime = "python3.12", Alarms = false}
"""
#: What differs from run to run, and what stands for it.
_VARIABLE = (
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+Z)?"), "TIME"),
    (re.compile(r"\b(?:\d+ [dhm] \d\d [hms]|\d+\.\d+ ?s)\b"), "SPAN"),
    (re.compile(r"http://127\.0\.0\.1:\d+\S*"), "URL"),
    (re.compile(r"/\S*/billing\b"), "FOLDER"),
    (re.compile(r"process \d+"), "PROCESS"),
    (re.compile(r" +"), " "),
)
#: Whether these show up is a matter of moments, or of what is installed already.
_PASSING = re.compile(
    r": (?:Queuing|Inprogress|Completed|running.*)$|^installing|^adds|^Deploy\? |in progress$"
)


class Reader(Author):
    """Does what the tutorial says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.place = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "dev.log"
        self._env |= {"SHIFTWORK_PORT": str(free_port()), "PYTHONUNBUFFERED": "1"}
        self._url = ""

    def reads(self, block: Block) -> None:
        """Do what a block says, and see that it ends as it shows."""
        match block.language:
            case "python" | "yaml":
                self._writes(block.text)
            case "text" if "(Pdb)" in block.text:
                self._looks(block.text)
            case "text":
                self._mistakes(block.text)
            case "console":
                for command, shown in _commands(block.text):
                    told = self._does(command)
                    for line in missing(shown, told):
                        pytest.fail(f"{block}: {command}\nlacks: {line}\n{told}")

    def _does(self, command: str) -> str:
        match shlex.split(command):
            case ["pip", *_]:  # What it installs is not published.
                return ""
            case ["cd", folder]:
                self.place = self.place / folder
                return ""
            case ["shiftwork", "dev"]:
                return self._serves()
            case ["shiftwork", "up"]:
                self._ends_dev()
                return self.types("up", at=self.place)
            case ["shiftwork", "deploy"]:
                return self._deploys()
            case ["shiftwork", *words]:
                return self._runs(words)
        raise AssertionError(command)

    def _runs(self, words: list[str]) -> str:
        """Run a command, whose exit code does not matter here."""
        command = [str(self._shiftwork), *words]
        done = subprocess.run(
            command, cwd=self.place, env=self._env, capture_output=True, text=True, timeout=300
        )
        return done.stdout + done.stderr

    # -- the terminal of `shiftwork dev` -------------------------------------------------------

    def _serves(self) -> str:
        port = free_port()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(self._shiftwork), "dev", "--port", str(port)],
                cwd=self.place,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        until(lambda: "(Ctrl-C ends it)" in self._said)
        return self._said

    @property
    def _said(self) -> str:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return self.log.read_text()

    def _mistakes(self, shown: str) -> None:
        file = self.place / "definitions" / "invoices.yaml"
        right = file.read_text()
        file.write_text(right.replace("for_each", "for_eahc"))
        until(lambda: "did you mean for_each?" in self._said)
        file.write_text(right)
        assert missing(shown, self._said) == []

    def _looks(self, shown: str) -> None:
        until(lambda: "(Pdb)" in self._said)
        typed = re.findall(r"\(Pdb\) (.*)", shown)
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in typed).encode())
        self.process.stdin.flush()
        answers = [line for line in shown.splitlines() if not line.startswith("(Pdb)")]
        until(lambda: missing("\n".join(answers), self._said.replace("(Pdb) ", "")) == [])
        code = self.place / "callbacks" / "invoices.py"
        code.write_text(code.read_text().replace("        breakpoint()\n", ""))

    def _ends_dev(self) -> None:
        if self.process is not None and self.process.poll() is None:
            # Ctrl-C for the reader; a shell's background commands, and their children, ignore that.
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE_S)

    # -- what the reader writes ----------------------------------------------------------------

    def _writes(self, text: str) -> None:
        """Write what the page says; what it only shows of the project is in there."""
        code = self.place / "callbacks" / "invoices.py"
        tests = self.place / "tests" / "test_invoices.py"
        if "breakpoint()" in text:
            code.write_text(re.sub(r" +raise Failure.*\n", lambda _: text, code.read_text()))
            until(lambda: "callbacks are loaded again" in self._said)
        elif "def test_" in text:
            before, _, _ = tests.read_text().partition("def test_a_customer_without")
            tests.write_text(before + text)
        else:
            files = [code, self.place / "definitions" / "invoices.yaml"]
            assert any(text in file.read_text() for file in files), text

    def _deploys(self) -> str:
        """Deploy to the emulator, which has no composite alarms; nobody is there to be asked."""
        (self.place / "shiftwork.toml").write_text(SETTINGS)
        settings = (self.place / ".shiftwork" / "local.env").read_text()
        aws = dict(re.findall(r"^(AWS_\w+)=(.*)$", settings, re.MULTILINE))
        env = self._env | {name: value.strip("'\"") for name, value in aws.items()}
        command = [str(self._shiftwork), "deploy", "--yes"]
        done = subprocess.run(
            command, cwd=self.place, env=env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a block with what is shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.replace("\\\n", " ").partition("\n")
        yield command, shown


def missing(shown: str, told: str) -> list[str]:
    """Return the lines that are shown, and were not told."""
    lines = {_plain(line) for line in told.splitlines()}
    return [
        line
        for line in map(_plain, shown.splitlines())
        if line and "…" not in line and not _PASSING.search(line) and line not in lines
    ]


def _plain(line: str) -> str:
    for pattern, word in _VARIABLE:
        line = pattern.sub(word, line)
    return line.strip()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    reader.install(*wheels_of("0.1.0", tmp_path), "pytest")
    yield reader
    reader._ends_dev()
    if reader.place != tmp_path:
        reader.types("down", at=reader.place)


def test_the_tutorial_goes_as_it_says(reader: Reader) -> None:
    for block in blocks(PAGE):
        reader.reads(block)
    assert [b.language for b in blocks(PAGE)].count("console") > 10
