"""Start, find and stop the emulator's process."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shiftwork.local import ministack
from shiftwork.local.errors import LocalStackError
from shiftwork.local.files import is_locked
from shiftwork.local.probe import status_of

#: The emulator starts in well under a second; on a busy machine it may take longer.
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """A running emulator that this state folder started."""

    pid: int
    port: int

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Emulator:
    """The emulator of one state folder.

    The process locks a file in `home` for as long as it lives. The lock says whether it runs: its
    process id may since belong to another process.
    """

    home: Path

    @property
    def log(self) -> Path:
        """The file that receives its output."""
        return self.home / "emulator.log"

    @property
    def _lock(self) -> Path:
        return self.home / "emulator.lock"

    @property
    def _record(self) -> Path:
        return self.home / "emulator.json"

    @property
    def _scratch(self) -> Path:
        return self.home / "emulator"

    def running(self) -> Running | None:
        """Return the process if it runs."""
        if not is_locked(self._lock) or not self._record.exists():
            return None
        return Running(**json.loads(self._record.read_text()))

    @property
    def has_died(self) -> bool:
        """Whether it ended without being stopped: by a kill, or with the machine."""
        return self._record.exists() and self.running() is None

    def start(self, command: Sequence[str], port: int) -> Running:
        """Start the process, and return once it answers. It must not be running.

        Its environment is clean: the host's would leak into the functions that it runs.

        Raises
        ------
        LocalStackError
            If the port is taken, or the process ends or does not answer in time.
        """
        require_free(port)
        shutil.rmtree(self._scratch, ignore_errors=True)
        (self._scratch / "tmp").mkdir(parents=True)
        environment = {
            "PATH": f"{Path(command[0]).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._scratch),
            "TMPDIR": str(self._scratch / "tmp"),
            "LANG": "C.UTF-8",
            **ministack.environment(port),
        }
        with self._lock.open("a") as lock, self.log.open("w") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=self._scratch,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C must not reach it; and stopping its group stops its functions too.
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
        running = Running(process.pid, port)
        self._record.write_text(json.dumps({"pid": process.pid, "port": port}))
        deadline = time.monotonic() + _START_TIMEOUT_S
        while status_of(running.endpoint + ministack.HEALTH_PATH) != 200:
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                tail = "\n".join(self.log.read_text().splitlines()[-10:])
                raise LocalStackError(f"The emulator did not start.\n{tail}", f"read {self.log}")
            time.sleep(_POLL_S)
        return running

    def stop(self) -> bool:
        """Stop the process and every function it runs; False if it was not running."""
        running = self.running()
        if running is not None:
            self._signal_group(running, signal.SIGTERM)
            self._ends_within(_STOP_TIMEOUT_S)
            # The process if it still runs, and functions that outlive it.
            self._signal_group(running, signal.SIGKILL)
            self._ends_within(_STOP_TIMEOUT_S)
            # If this process started it, nobody else collects its exit status.
            with suppress(ChildProcessError):
                os.waitpid(running.pid, 0)
        self._record.unlink(missing_ok=True)
        self._lock.unlink(missing_ok=True)
        shutil.rmtree(self._scratch, ignore_errors=True)
        return running is not None

    def _signal_group(self, running: Running, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, number)

    def _ends_within(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self.running() is not None and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(port: int) -> None:
    """Check that the port is free.

    Raises
    ------
    LocalStackError
        If it is taken; the next step names a free one.
    """
    if _is_free(port):
        return
    others: Iterable[int] = (n for n in range(port + 1, min(port + 100, 65536)) if _is_free(n))
    raise LocalStackError(
        f"Port {port} is taken by another program.",
        f"SHIFTWORK_PORT={next(iter(others), free_port())} make up",
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
