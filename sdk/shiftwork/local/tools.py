"""Install the emulator and the SAM CLI, each in a virtual environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from shiftwork.local.errors import LocalStackError
from shiftwork.local.files import digest, locked
from shiftwork.local.reporting import Report

#: What each environment of requirements/ is for.
_TITLES = {
    "emulator": "emulator",
    "sam": "SAM CLI",
    "docs": "documentation generator",
    "node": "JavaScript runtime",
    "audit": "auditor of packages",
}


def sam(tree: Path, cache: Path, report: Report) -> Path:
    """Return the SAM CLI's executable; install it if need be."""
    return environment(tree, cache, "sam", report) / "sam"


def folder_of_uv() -> Path:
    """Return the folder of uv: beside this Python in the tree's .venv, or on the path.

    Raises
    ------
    LocalStackError
        If uv is in neither.
    """
    beside = Path(sys.executable).parent
    if (beside / "uv").exists():
        return beside
    found = shutil.which("uv")
    if found is None:
        raise LocalStackError("uv, which installs the local stack's tools, is missing.", "make up")
    return Path(found).parent


def environment(tree: Path, cache: Path, name: str, report: Report) -> Path:
    """Return the bin folder of the environment `name`, installed if its requirements changed."""
    requirements = f"requirements/{name}.txt"
    wanted = digest(tree, [requirements], sys.version, str(cache))
    venv = cache / "venvs" / name
    stamp = venv / ".requirements"
    with locked(cache / "venvs" / f"{name}.lock"):
        if not (stamp.is_file() and stamp.read_text() == wanted):
            report(f"installing the {_TITLES[name]}, once")
            _install(tree, requirements, venv)
            stamp.write_text(wanted)
    return venv / "bin"


def _install(tree: Path, requirements: str, venv: Path) -> None:
    uv = str(folder_of_uv() / "uv")
    python = str(venv / "bin" / "python")
    for command in (
        [uv, "venv", "-q", "--clear", "--python", sys.executable, str(venv)],
        [uv, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", requirements],
    ):
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LocalStackError(
                f"Installing {requirements} failed.\n{done.stderr.strip()[-2000:]}",
                "check that the package index can be reached, then run it again",
            )
