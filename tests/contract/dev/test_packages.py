"""A project from nothing: packages in an empty environment, `init`, tests, `dev`, an upgrade."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.template import ROOT

UV = Path(sys.executable).parent / "uv"
#: What the packages are made of.
PARTS = (
    *("sdk", "layers", "functions", "statemachines", "template.yaml"),
    *("requirements/emulator.txt", "requirements/sam.txt"),
)
SUBMIT = ["submit", "send-invoices", "--follow"]


def said(*command: str | Path, at: Path, env: dict[str, str] | None = None) -> str:
    """Run a command; return what it writes."""
    done = subprocess.run(
        list(map(str, command)), cwd=at, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def wheels_of(version: str, folder: Path) -> list[Path]:
    """Build both packages as if this tree had another version."""
    tree = folder / f"tree-{version}"
    leave_out = shutil.ignore_patterns("__pycache__")
    for part in PARTS:
        (tree / part).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tree / part, ignore=leave_out)
        else:
            shutil.copy(ROOT / part, tree / part)
    for settings in (tree / "sdk" / "pyproject.toml", tree / "sdk" / "platform" / "pyproject.toml"):
        settings.write_text(settings.read_text().replace("0.1.0", version))
        said(UV, "build", "-q", "--wheel", settings.parent, "-o", folder / version, at=folder)
    return sorted((folder / version).glob("*.whl"))


class Author:
    """Somebody with an empty environment and an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._python = folder / "venv" / "bin" / "python"
        self._shiftwork = folder / "venv" / "bin" / "shiftwork"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SHIFTWORK_", "AWS_"))}
        # pytest says more where CI is set.
        others = ("PYTHONPATH", "VIRTUAL_ENV", "CI", "BUILD_NUMBER", "COLUMNS")
        self._env = {k: v for k, v in kept.items() if k not in others}
        # Where the user's own record of a running stack is.
        self._env["XDG_STATE_HOME"] = str(folder / "state")
        said(UV, "venv", "-q", "--python", sys.executable, folder / "venv", at=folder)

    def install(self, *what: str | Path) -> None:
        said(UV, "pip", "install", "-q", "--python", self._python, *what, at=self.folder)

    def types(self, *arguments: str, at: Path) -> str:
        return said(self._shiftwork, *arguments, at=at, env=self._env)

    def tests(self, project: Path) -> str:
        return said(self._python, "-m", "pytest", "-q", at=project, env=self._env)

    @contextmanager
    def dev(self, project: Path) -> Iterator[None]:
        """Serve the project meanwhile."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [str(self._shiftwork), "dev", "--port", str(port)]
        process = subprocess.Popen(command, cwd=project, env=self._env)
        try:
            ends_at = time.monotonic() + 60
            while not (project / ".shiftwork" / "local.env").exists():
                assert process.poll() is None
                assert time.monotonic() < ends_at
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@pytest.mark.parametrize("versions", [("0.1.0", "0.1.1")])
def test_from_init_to_a_completed_request_in_two_versions(
    versions: tuple[str, str], tmp_path: Path
) -> None:
    author = Author(tmp_path)
    author.install(*wheels_of(versions[0], tmp_path), "pytest")
    author.types("init", "billing", at=tmp_path)
    project = tmp_path / "billing"
    customers = 'customers:=[{"id": "c1", "email": "ada@example.com"}]'
    assert "3 passed" in author.tests(project)
    assert "no faults" in author.types("check", at=project / "tests")
    with author.dev(project):
        assert "Completed" in author.types(*SUBMIT, customers, at=project / "definitions")
    author.install(*wheels_of(versions[1], tmp_path))
    assert "3 passed" in author.tests(project)
    with author.dev(project):
        assert "Completed" in author.types(*SUBMIT, customers, at=project)
        assert author.types("requests", at=project).count("Completed") == 2
