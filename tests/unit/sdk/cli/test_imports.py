"""What short commands import: counts of modules, for times differ by machine.

`python -m benchmarks cli` measures the time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

#: Packages that take long to import, and that no short command needs.
SLOW = {
    "asyncio", "boto3", "botocore", "click", "httpx", "httpx2", "pydantic", "pygments", "rich",
    "shiftwork.api.shapes", "shiftwork.local", "shiftwork.worker", "urllib.request", "yaml",
}  # fmt: skip
#: What calls the API, which a help needs not.
HTTP = {"http.client", "shiftwork.api.client", "socket"}
#: How many modules of ours a command may import: most take 0.2 to 1 ms.
MODULES_OF_HELP, MODULES_OF_LIST = 10, 40

_PROGRAM = """
import json, sys
from shiftwork.cli import main
class Api:
    def send(self, outgoing):
        from shiftwork.api.messages import Answer
        return Answer(200, {}, b'{"items": [], "next_token": null}')
    def close(self):
        pass
def connect():
    from shiftwork.api import http_transport
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.cli.connection import Telling
    return ShiftworkClient("http://api.test", "t", transport=Telling(Api()))
if sys.argv[-1] not in ("-h", "--help"):
    from shiftwork.cli import connection
    connection.connect = connect
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
finally:
    print("\\n" + json.dumps(sorted(sys.modules)))
"""


def modules_of(*arguments: str, folder: Path) -> set[str]:
    """Return the modules that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "shiftwork"}


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["worker", "--help"]], ids=" ".join)
def test_a_help_of_commands_imports_no_command(arguments: list[str], tmp_path: Path) -> None:
    modules = modules_of(*arguments, folder=tmp_path)
    assert not (SLOW | HTTP) & modules
    assert not {name for name in modules if name.startswith("shiftwork.cli.commands.")}
    assert len(ours(modules)) <= MODULES_OF_HELP


@pytest.mark.parametrize(
    "arguments",
    [
        ["requests"],
        ["requests", "-o", "json"],
        ["jobs", "00000000-0000-0000-0000-000000000000"],
        ["workers"],
        ["workspaces"],
        ["lifecycle-jobs"],
        ["types"],
    ],
    ids=" ".join,
)
def test_a_list_off_a_terminal_imports_little(arguments: list[str], tmp_path: Path) -> None:
    modules = modules_of(*arguments, folder=tmp_path)
    assert "shiftwork.api.http_transport" in modules
    assert not SLOW & modules
    assert len(ours(modules)) <= MODULES_OF_LIST
