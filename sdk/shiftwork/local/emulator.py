"""The emulator's process: started, found again, stopped."""

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

from shiftwork.local.errors import LocalStackError
from shiftwork.local.probe import status_of

#: It starts in well under a second; a loaded machine may take longer.
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """The emulator that this state folder started, alive."""

    pid: int
    port: int

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Emulator:
    """The emulator of one state folder.

    The process holds a lock on a file of `home` for as long as it lives. So the lock, and not a
    process id that may since belong to somebody else, says whether it runs.
    """

    home: Path

    @property
    def log(self) -> Path:
        """Where its output goes."""
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
        """Return the process if it lives."""
        if not self._lock.exists() or not self._record.exists():
            return None
        with self._lock.open("a") as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        return Running(**json.loads(self._record.read_text()))

    def start(self, command: Sequence[str], port: int) -> Running:
        """Start it, and return once it answers. It must not run already.

        It gets a clean environment: the host's would leak into the functions that it runs.

        Raises
        ------
        LocalStackError
            If the port is taken, or it ends or stays silent instead of answering.
        """
        require_free(port)
        shutil.rmtree(self._scratch, ignore_errors=True)
        (self._scratch / "tmp").mkdir(parents=True)
        environment = {
            "PATH": f"{Path(command[0]).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._scratch),
            "TMPDIR": str(self._scratch / "tmp"),
            "LANG": "C.UTF-8",
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            # It would listen on all addresses for this one.
            "IOT_MTLS_ENABLED": "0",
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
                # A Ctrl-C is for us, not for it; and stopping its group stops its functions too.
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )
        running = Running(process.pid, port)
        self._record.write_text(json.dumps({"pid": process.pid, "port": port}))
        deadline = time.monotonic() + _START_TIMEOUT_S
        while status_of(f"{running.endpoint}/_ministack/health") != 200:
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                tail = "\n".join(self.log.read_text().splitlines()[-10:])
                raise LocalStackError(f"The emulator did not start.\n{tail}", f"read {self.log}")
            time.sleep(_POLL_S)
        return running

    def stop(self) -> bool:
        """End the process and every function it runs; False if it does not run."""
        running = self.running()
        if running is not None:
            self._signal_group(running, signal.SIGTERM)
            self._ends_within(_STOP_TIMEOUT_S)
            # Itself if it did not end, and functions that outlive it.
            self._signal_group(running, signal.SIGKILL)
            self._ends_within(_STOP_TIMEOUT_S)
            # If it was this process that started it, nobody else takes note of its end.
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
    """Pass if the port can be had.

    Raises
    ------
    LocalStackError
        If not; the next step names one that can.
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
