"""`shiftwork dev`: serve the project, load what is saved, tell what happens."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

from shiftwork.api.config import ENV_FILE, HOME
from shiftwork.api.env_file import read_env_file, write_env_file
from shiftwork.api.errors import ShiftworkError
from shiftwork.definition_files import Definition
from shiftwork_core import telemetry
from shiftwork_platform import project as projects
from shiftwork_platform.checking import doubts_about
from shiftwork_platform.dev.debugging import stand_still_in_debuggers
from shiftwork_platform.dev.deployment import DevDeployment
from shiftwork_platform.dev.logs import JobLogs
from shiftwork_platform.dev.reload import Callbacks, Folder, read_definitions, watch
from shiftwork_platform.dev.root import DevRoot
from shiftwork_platform.dev.server import Server, gateway_of
from shiftwork_platform.dev.terminal import Terminal
from shiftwork_platform.project import FILE, Project
from shiftwork_platform.types import define, types_in

STATE = "dev.sqlite"
_WELCOME = (
    "next: shiftwork submit TYPE name=value --follow   (Ctrl-C ends it)",
    "only `shiftwork up` and AWS show permissions, sizes that AWS refuses, and callbacks that call "
    "AWS",
)


class PortTaken(ShiftworkError):
    """Something else listens on the port."""


class AlreadyServed(ShiftworkError):
    """Another process serves the project: its tables are in that process."""


class _Ended(KeyboardInterrupt):
    """The process was asked to end; no module that is being imported takes it for its own exit."""


def _end(*_: object) -> None:
    raise _Ended


def run(start: Path, port: int, *, is_fresh: bool) -> None:
    """Serve the project that a folder is in until interrupted.

    Raises
    ------
    NoProject
        If the folder is in none.
    AlreadyServed
        If another process serves it.
    PortTaken
        If the port is in use.
    OtherSchema
        If the state was written by another version.
    """
    terminal = Terminal()
    signal.signal(signal.SIGTERM, _end)
    project = projects.find(start.resolve())
    home = project.root / HOME
    alone = _alone(home)
    _quieten()
    logs = JobLogs(terminal)
    logs.listen()
    server = _listen(port)
    if is_fresh:
        _forget(home / STATE)
    # What is saved while it is loaded is loaded again.
    definitions = Folder(project.definitions, (".yaml", ".yml"))
    code = Folder(project.callbacks, (".py",))
    callbacks = Callbacks(project)
    token = _token(home)
    deployment = DevDeployment(home / STATE, project.addresses, token, callbacks.find, terminal)
    stand_still_in_debuggers(deployment.watch)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    announced = _announced(home / ENV_FILE, {"SHIFTWORK_URL": address, "SHIFTWORK_TOKEN": token})
    with alone, _ending_at_once(deployment, terminal), announced:
        _tell_broken(terminal, callbacks)
        define_all = partial(_define, deployment, project, callbacks, terminal)
        define_all()
        server.answer_by(gateway_of(DevRoot(deployment, logs)))
        for line in (f"{project.root.name} is served at {address}", *_WELCOME):
            terminal.say(line)
        deployment.start()

        def load_again() -> None:
            _tell_broken(terminal, callbacks, "callbacks are loaded again")
            define_all()  # A job type may have lost its callback, or got it.

        settings = Folder(project.root, (FILE,), is_deep=False)
        watch([(code, load_again), (definitions, define_all), (settings, terminal.tell_restart)])


def _tell_broken(terminal: Terminal, callbacks: Callbacks, done: str = "") -> None:
    broken = callbacks.load()
    for module, why in broken.items():
        terminal.say(f"{module} cannot be imported: {why}; what it had before stays")
    if done and not broken:
        terminal.say(done)


@contextmanager
def _ending_at_once(deployment: DevDeployment, terminal: Terminal) -> Iterator[None]:
    """End the process with this block, without waiting for callbacks: all that counts is written.

    They would go on unseen, since nobody hears of their outcomes any more.
    """
    try:
        yield
    except KeyboardInterrupt as ended:
        code = 0 if isinstance(ended, _Ended) else 130
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # A second Ctrl-C does not wait for the lock.
    running = len(deployment.running())
    jobs = "1 job" if running == 1 else f"{running} jobs"
    terminal.say(f"ended; {jobs} will be tried again at the next start" if running else "ended")
    os._exit(code)


def _define(
    deployment: DevDeployment, project: Project, callbacks: Callbacks, terminal: Terminal
) -> None:
    """Put the project's definitions; with faults, put none and tell them."""
    found, faults = read_definitions(project)
    terminal.faults(faults)
    if faults:
        return
    types = types_in(found)
    terminal.doubts([*doubts_about(found), *callbacks.missing(types)])
    before = _versions(deployment)
    define(deployment.tables, types, deployment.now)
    after = _versions(deployment)
    changed = [one.name for one in types if before.get(_key(one)) != after.get(_key(one))]
    if changed:
        terminal.say(f"definitions: {', '.join(changed)}")


def _key(definition: Definition) -> tuple[str, str]:
    return definition.kind, definition.name


def _versions(deployment: DevDeployment) -> dict[tuple[str, str], int]:
    with deployment.tables.lock:
        return {
            (kind.value, name): max(versions)
            for (kind, name), versions in deployment.tables.definitions.items()
        }


def _alone(home: Path) -> TextIO:
    """Return a file whose lock this process holds until it ends, however it ends."""
    home.mkdir(parents=True, exist_ok=True)
    file = (home / "dev.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise AlreadyServed(
            f"the project {home.parent} is served by another process already",
            "Use that one, or end it first",
        ) from error
    return file


def _listen(port: int) -> Server:
    try:
        return Server(port)
    except OSError as error:
        raise PortTaken(
            f"port {port} is taken ({error.strerror})", "Name another: shiftwork dev --port 4601"
        ) from error


def _forget(state: Path) -> None:
    for path in (state, Path(f"{state}-wal"), Path(f"{state}-shm")):
        path.unlink(missing_ok=True)


def _token(home: Path) -> str:
    """Return the token of the state, the same each time."""
    file = home / "dev.token"
    if not (file.is_file() and file.read_text().strip()):
        new = home / "dev.token.new"
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(24))
        new.replace(file)
    return file.read_text().strip()


@contextmanager
def _announced(file: Path, values: dict[str, str]) -> Iterator[None]:
    """Let commands find the API here, as long as it is served; then as they did before."""
    before = read_env_file(file)
    write_env_file(file, values)
    try:
        yield
    finally:
        if read_env_file(file) == values:  # Nobody else has announced another since.
            if before and before.get("SHIFTWORK_URL") != values["SHIFTWORK_URL"]:
                write_env_file(file, before)
            else:
                file.unlink(missing_ok=True)


def _quieten() -> None:
    """Let the functions' own logs and metrics stay out of the terminal."""
    os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "ERROR")
    os.environ.setdefault("POWERTOOLS_TRACE_DISABLED", "true")
    os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "shiftwork")
    # Functions print what they count at the end of a call; nobody reads it here.
    telemetry.metrics.add_metric = lambda *_, **__: None  # type: ignore[method-assign]
