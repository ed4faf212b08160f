"""Find the API's address and token: arguments, then environment, then the stack's local.env."""

from __future__ import annotations

import os
from collections.abc import Mapping
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
    """

    url: str
    token: str | None = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    home: Path | None = None

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
        file = find_env_file(env, start)
        local = read_env_file(file) if file else {}
        if file is None or not local.get("SHIFTWORK_URL"):
            raise NotConfigured
        return cls(
            local["SHIFTWORK_URL"],
            token or local.get("SHIFTWORK_TOKEN"),
            {**env, **local},
            file.parent,
        )


def find_env_file(env: Mapping[str, str], start: Path | None = None) -> Path | None:
    """Return the local.env in SHIFTWORK_HOME, else the nearest from the folder `start` upwards."""
    if home := env.get("SHIFTWORK_HOME"):
        candidates = [Path(home) / ENV_FILE]
    else:
        here = (start or Path.cwd()).resolve()
        candidates = [folder / HOME / ENV_FILE for folder in (here, *here.parents)]
    return next((file for file in candidates if file.is_file()), None)
