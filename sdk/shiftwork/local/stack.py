"""Start, stop and describe the local stack."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftwork.api.config import forget_home, record_home
from shiftwork.api.env_file import read_env_file
from shiftwork.local import ministack
from shiftwork.local.deployment import NUMBERS, Deployment, is_up, require_answer
from shiftwork.local.emulator import Emulator, free_port
from shiftwork.local.errors import LocalStackError
from shiftwork.local.files import is_locked, locked
from shiftwork.local.probe import status_of
from shiftwork.local.reporting import Report, silent
from shiftwork.local.signals import EndRequested, signals_ignored, signals_raise, wait_or_kill
from shiftwork.local.sources import Sources

DEFAULT_PORT = 4566
#: How long a command may take to end after the signal.
_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class StackStatus:
    """The state of a stack.

    Attributes
    ----------
    is_running
        Whether the emulator answers.
    is_deployed
        Whether the API answers too.
    endpoint
        The emulator's address, e.g. `http://127.0.0.1:4566`.
    pid
        The emulator's process if this stack started it and it runs, else None.
    log
        The emulator's log file.
    env
        The contents of `local.env`; empty while nothing is deployed.
    is_lost
        Whether the emulator has ended by itself, and all that was in it with it.
    """

    is_running: bool
    is_deployed: bool
    endpoint: str
    pid: int | None
    log: Path
    env: Mapping[str, str]
    is_lost: bool = False


@dataclass(frozen=True)
class Stack:
    """One local stack. Its files are in `home`, so stacks do not disturb each other.

    Attributes
    ----------
    sources
        What is deployed; all its stacks share its tools and builds.
    home
        The state folder: SHIFTWORK_HOME, or `.shiftwork` in the sources' folder.
    settings
        The environment: SHIFTWORK_PORT, SHIFTWORK_ENDPOINT, SHIFTWORK_SERVICES and the variables
        in `deployment.NUMBERS`.
    """

    sources: Sources
    home: Path
    settings: Mapping[str, str]

    @classmethod
    def find(cls, start: Path | None = None, env: Mapping[str, str] | None = None) -> Stack:
        """Find the project or checkout in `start` (the current folder by default) or above it.

        Raises
        ------
        LocalStackError
            If there is none.
        """
        sources = Sources.find((start or Path.cwd()).resolve())
        settings = {**sources.settings(), **(os.environ if env is None else env)}
        named = settings.get("SHIFTWORK_HOME")
        return cls(sources, Path(named).resolve() if named else sources.cache, settings)

    def up(self, report: Report = silent) -> dict[str, str]:
        """Start and deploy whatever is missing; return the contents of `local.env`.

        Raises
        ------
        LocalStackError
            If a tool cannot be installed, the port is taken, or the deployment fails.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        _require_no_dev(self.home)
        with locked(self.home / "up.lock"):
            tree = self.sources.tree()
            endpoint = self._ensure_emulator(tree, report)
            cache = self.sources.cache
            deployment = Deployment(tree, cache, self.home, endpoint, self.settings)
            env = deployment.ensure(self._env(), report)
        if self.home == self.sources.cache:  # Another folder is named by SHIFTWORK_HOME.
            record_home(self.home, self.settings)
        return env

    def deploy_beside(
        self, stack_name: str, home: Path, services: str, report: Report = silent
    ) -> dict[str, str]:
        """Deploy another stack to this stack's emulator, which is started if need be.

        Parameters
        ----------
        home
            The state folder of the other stack.
        services
            Its SHIFTWORK_SERVICES.

        Returns
        -------
            What its `local.env` contains.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        with locked(self.home / "up.lock"):
            tree = self.sources.tree()
            endpoint = self._ensure_emulator(tree, report)
        settings = {"SHIFTWORK_SERVICES": services}
        beside = Deployment(tree, self.sources.cache, home, endpoint, settings, stack_name)
        return beside.ensure({}, report)

    def down(self, report: Report = silent) -> bool:
        """Stop the emulator if this stack started it, and forget the stack; False if none ran.

        Raises
        ------
        LocalStackError
            If `shiftwork dev` serves the project: it ends by itself.
        """
        if not self.home.is_dir():
            return False
        _require_no_dev(self.home)
        with locked(self.home / "up.lock"):
            known, running, has_died = (
                self._env(),
                self._emulator.running(),
                self._emulator.has_died,
            )
            for name in ("local.env", "deployed"):
                (self.home / name).unlink(missing_ok=True)
            forget_home(self.home, self.settings)
            if self._emulator.stop() and running is not None:
                report(f"stopped the emulator at {running.endpoint} (process {running.pid})")
                return True
            if has_died:
                report("the emulator had ended before: what was in it is lost")
            elif known:
                report(f"left {known['AWS_ENDPOINT_URL']} alone: it was not started from here")
            return False

    def status(self) -> StackStatus:
        """Return the state of the stack, without changing anything."""
        env = self._env()
        running = self._emulator.running()
        endpoint = self.settings.get("SHIFTWORK_ENDPOINT") or env.get("AWS_ENDPOINT_URL")
        if running is not None:
            endpoint = running.endpoint
        elif endpoint is None:
            endpoint = f"http://127.0.0.1:{self._port()}"
        is_running = running is not None or (bool(env) and status_of(endpoint) is not None)
        return StackStatus(
            is_running=is_running,
            is_deployed=is_running and bool(env) and is_up(env["SHIFTWORK_URL"]),
            endpoint=endpoint,
            pid=running.pid if running else None,
            log=self._emulator.log,
            env=env,
            is_lost=self._emulator.has_died,
        )

    def run_with_ephemeral(self, command: Sequence[str], report: Report = silent) -> int:
        """Run `command` against a stack of its own, stop that stack, return the exit code.

        That stack has a free port and a temporary state folder, and of this stack's settings only
        the intervals. The command finds it through its environment. Nothing is left running unless
        this process gets a SIGKILL.
        """
        with tempfile.TemporaryDirectory(prefix="shiftwork-") as folder, signals_raise():
            home = Path(folder)
            wanted = {k: v for k, v in self.settings.items() if k in NUMBERS}
            stack = Stack(self.sources, home, {**wanted, "SHIFTWORK_PORT": str(free_port())})
            code = 1
            try:
                env = stack.up(report)
                code = _run(command, {**os.environ, **env, "SHIFTWORK_HOME": str(home)})
            except EndRequested as request:
                code = 128 + request.number
            finally:
                with signals_ignored():
                    stack._end_ephemeral(report, keep_log=code != 0)
            return code

    def _end_ephemeral(self, report: Report, *, keep_log: bool) -> None:
        if keep_log and self._emulator.log.exists():
            kept = self.sources.cache / "ephemeral-emulator.log"
            shutil.copyfile(self._emulator.log, kept)
            report(f"the emulator's log is in {kept}")
        self.down()

    @property
    def _emulator(self) -> Emulator:
        return Emulator(self.home)

    def _env(self) -> dict[str, str]:
        return read_env_file(self.home / "local.env")

    def _port(self) -> int:
        text = self.settings.get("SHIFTWORK_PORT") or str(DEFAULT_PORT)
        if not (text.isdecimal() and 0 < int(text) < 65536):
            raise LocalStackError(
                f"SHIFTWORK_PORT is {text!r}, which is not a port.",
                f"SHIFTWORK_PORT={DEFAULT_PORT} make up",
            )
        return int(text)

    def _ensure_emulator(self, tree: Path, report: Report) -> str:
        """Return the address of an emulator that answers; `tree` says which is installed."""
        if endpoint := self.settings.get("SHIFTWORK_ENDPOINT", "").rstrip("/"):
            require_answer(endpoint)
            return endpoint
        running = self._emulator.running()
        if running is None:
            if self._emulator.has_died:
                report("the emulator had ended without `shiftwork down`: what was in it is lost")
            command = ministack.command(tree, self.sources.cache, report)
            report("starting the emulator")
            running = self._emulator.start(command, self._port())
        elif self.settings.get("SHIFTWORK_PORT") and running.port != self._port():
            raise LocalStackError(
                f"This stack already runs on port {running.port}.",
                "make down first, or set SHIFTWORK_HOME to another folder for a second stack",
            )
        return running.endpoint


def _require_no_dev(home: Path) -> None:
    """Refuse to touch the local.env of a `shiftwork dev` that runs.

    Raises
    ------
    LocalStackError
        If one does.
    """
    if is_locked(home / "dev.lock"):
        raise LocalStackError(
            f"`shiftwork dev` serves {home.parent}.",
            "end it first, with Ctrl-C; or set SHIFTWORK_HOME to another folder for a stack",
        )


def _run(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run the command; return its exit code as a shell would.

    A signal that ends this process is passed on; the terminal sends Ctrl-C to both.
    """
    try:
        process = subprocess.Popen(command, env=env)
    except OSError as error:
        raise LocalStackError(f"{command[0]} cannot be run: {error.strerror}.") from error
    try:
        code = process.wait()
    except EndRequested as request:
        if request.number != signal.SIGINT:
            process.send_signal(request.number)
        wait_or_kill(process, _GRACE_S)
        raise
    return code if code >= 0 else 128 - code
