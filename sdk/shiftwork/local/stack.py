"""Start, stop and describe the local stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Takes one line on what is being done now, such as "starting the emulator".
Report = Callable[[str], None]


def _silent(line: str) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class StackStatus:
    """What is known about a stack.

    Attributes
    ----------
    is_running
        Whether the emulator answers.
    is_deployed
        Whether the API answers too.
    endpoint
        The emulator's address, e.g. `http://127.0.0.1:4566`.
    pid
        The emulator's process if it is ours and runs, else None.
    log
        The emulator's log file.
    env
        What `local.env` says; empty while nothing is deployed.
    """

    is_running: bool
    is_deployed: bool
    endpoint: str
    pid: int | None
    log: Path
    env: Mapping[str, str]


@dataclass(frozen=True)
class Stack:
    """One local stack; all that it keeps lies in `home`.

    Attributes
    ----------
    project
        The folder of template.yaml.
    home
        The state folder: SHIFTWORK_HOME, or `.shiftwork` in the project.
    settings
        The environment it was found in: SHIFTWORK_PORT, SHIFTWORK_ENDPOINT and others.
    """

    project: Path
    home: Path
    settings: Mapping[str, str]

    @classmethod
    def find(cls, start: Path | None = None, env: Mapping[str, str] | None = None) -> Stack:
        """Find the project in `start` (the current folder by default) or above it.

        Raises
        ------
        LocalStackError
            If no folder up to the root holds a template.yaml.
        """
        raise NotImplementedError

    def up(self, report: Report = _silent) -> dict[str, str]:
        """Start and deploy whatever is missing, and return what `local.env` says.

        Raises
        ------
        LocalStackError
            If a tool cannot be installed, the port is taken, or the deployment fails.
        """
        raise NotImplementedError

    def down(self, report: Report = _silent) -> bool:
        """Stop the emulator if we started it, and forget the stack; False if nothing ran."""
        raise NotImplementedError

    def status(self) -> StackStatus:
        """Look, without changing anything."""
        raise NotImplementedError

    def run_with_ephemeral(self, command: Sequence[str], report: Report = _silent) -> int:
        """Run `command` against a stack of its own, end that stack, return the exit code."""
        raise NotImplementedError
