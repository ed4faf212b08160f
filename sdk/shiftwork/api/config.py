"""Find the API's address and token: arguments, then environment, then the stack's local.env.

That of a project is in its `.shiftwork` folder. Outside of projects it is that of the stack which
`shiftwork up` has put up last: a file in the user's state folder has the path of its folder, and no
more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from shiftwork.api.env_file import read_env_file
from shiftwork.api.errors import NotConfigured

HOME = ".shiftwork"
ENV_FILE = "local.env"


@dataclass(frozen=True, slots=True)
class Config:
    """The API's address and token, and the environment for AWS calls to the same stack.

    Attributes
    ----------
    url, token
        Of the API; without a token none is sent.
    env
        The process's environment; if the URL came from `local.env`, its settings come first.
    home
        The folder of that `local.env`; None if the URL came from elsewhere.
    is_recorded
        Whether that folder is known by the user's record alone, not by where the process stands.
    """

    url: str
    token: str | None = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    home: Path | None = None
    is_recorded: bool = False

    @classmethod
    def load(
        cls,
        url: str | None = None,
        token: str | None = None,
        *,
        env: Mapping[str, str] | None = None,
        start: Path | None = None,
    ) -> Config:
        """Find the settings. The local stack's token is never sent to another address.

        Raises
        ------
        NotConfigured
            If nothing names a URL.
        """
        env = os.environ if env is None else env
        token = token or env.get("SHIFTWORK_TOKEN")
        url = url or env.get("SHIFTWORK_URL")
        if url:
            return cls(url, token, env)
        here = find_env_file(env, start)
        file = here or (None if _is_in_project(start) else _recorded_env_file(env))
        local = read_env_file(file) if file else {}
        if file is None or not local.get("SHIFTWORK_URL"):
            raise NotConfigured
        return cls(
            local["SHIFTWORK_URL"],
            token or local.get("SHIFTWORK_TOKEN"),
            {**env, **local},
            file.parent,
            is_recorded=here is None,
        )


def find_env_file(env: Mapping[str, str], start: Path | None = None) -> Path | None:
    """Return the local.env in SHIFTWORK_HOME, else the nearest from the folder `start` upwards."""
    if home := env.get("SHIFTWORK_HOME"):
        candidates = [Path(home) / ENV_FILE]
    else:
        here = (start or Path.cwd()).resolve()
        candidates = [folder / HOME / ENV_FILE for folder in (here, *here.parents)]
    return next((file for file in candidates if file.is_file()), None)


# -- the user's record of the stack that runs ------------------------------------------------------


def record_home(home: Path, env: Mapping[str, str]) -> None:
    """Let the user's commands find the stack of this folder, wherever they are typed.

    Where the state folder cannot be written to, they find it in its project alone.
    """
    if (record := _record_in(env)) is None:
        return
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = record.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(f"{home}\n")
        new.replace(record)


def forget_home(home: Path, env: Mapping[str, str]) -> None:
    """Remove the record, if it is of this folder."""
    record = _record_in(env)
    if record is not None and _read(record) == str(home):
        record.unlink(missing_ok=True)


def _is_in_project(start: Path | None) -> bool:
    """Whether a folder is in a project, whose commands must not reach the stack of another."""
    here = (start or Path.cwd()).resolve()
    return any((folder / "shiftwork.toml").is_file() for folder in (here, *here.parents))


def _recorded_env_file(env: Mapping[str, str]) -> Path | None:
    """Return the local.env that the record leads to; a record that leads nowhere is removed."""
    record = _record_in(env)
    home = None if record is None else _read(record)
    if record is None or home is None or env.get("SHIFTWORK_HOME"):
        return None
    file = Path(home) / ENV_FILE
    if file.is_file():
        return file
    with suppress(OSError):
        record.unlink()
    return None


def _record_in(env: Mapping[str, str]) -> Path | None:
    """Return the file of the record; None where the environment names no home."""
    state = env.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):  # As the XDG specification says, a relative one is none.
        user = env.get("HOME", "")
        if not user:
            return None
        state = f"{user}/.local/state"
    return Path(state) / "shiftwork" / "stack"


def _read(record: Path) -> str | None:
    try:
        return record.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None
