"""Find the project that a folder belongs to, and read its settings.

A project is a folder with a `shiftwork.toml`, or with a `[tool.shiftwork]` in its pyproject.toml.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from shiftwork.api.errors import ShiftworkError
from shiftwork_core.callbacks import register_all

FILE = "shiftwork.toml"
#: A stack's name begins the names of its functions, which Lambda bounds.
LONGEST_STACK = 40
#: It begins the names of its stacks.
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
#: As the template's parameter Stage.
_STAGE = re.compile(r"[a-z][a-z0-9-]{0,19}")


class NoProject(ShiftworkError):
    """A folder belongs to no project, or to one whose settings are wrong."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One deployment of a project.

    Attributes
    ----------
    region, profile
        None: the environment and the AWS profile say where it is.
    confirm
        Whether `shiftwork deploy` asks before it changes anything.
    parameters, services
        Those of the template in which it differs from the project's.
    """

    name: str
    region: str | None = None
    profile: str | None = None
    confirm: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    services: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Project:
    """A project: where its parts are, and how it is deployed.

    Attributes
    ----------
    services
        The services that HTTP jobs call, by name: a URL, or a table with `url` and `private`.
    parameters
        The template's parameters, for all stages.
    policy
        The statements of what callbacks may do on AWS.
    """

    root: Path
    definitions: Path
    callbacks: Path
    services: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, Stage] = field(default_factory=dict)
    policy: tuple[Mapping[str, Any], ...] = ()

    @property
    def addresses(self) -> dict[str, str]:
        """Where the services are, by name."""
        return {
            name: one if isinstance(one, str) else one["url"] for name, one in self.services.items()
        }

    def load_callbacks(self) -> None:
        """Import every module of the callbacks' folder, so that each registers its own.

        A module that cannot be imported takes only its own callbacks with it: see `register_all`.
        """
        parent, name = str(self.callbacks.parent), self.callbacks.name
        if parent not in sys.path:
            sys.path.insert(0, parent)
        register_all(name, [str(self.callbacks)])


def find(start: Path) -> Project:
    """Return the project that a folder is in.

    Raises
    ------
    NoProject
        If it is in none, or the project's settings are wrong.
    """
    for folder in (start, *start.parents):
        if (settings := _settings_of(folder)) is not None:
            return _Reader(folder).project(settings)
    raise NoProject(
        f"{start} is in no project: neither it nor a folder above it has a {FILE}",
        f"Make one with: shiftwork init NAME; or make a {FILE}, which may be empty",
    )


def _settings_of(folder: Path) -> Mapping[str, Any] | None:
    own, shared = folder / FILE, folder / "pyproject.toml"
    try:
        if own.is_file():
            return tomllib.loads(own.read_text(encoding="utf-8"))
        if shared.is_file():
            found = tomllib.loads(shared.read_text(encoding="utf-8")).get("tool")
            settings = found.get("shiftwork") if isinstance(found, dict) else None
            if settings is not None and not isinstance(settings, dict):
                raise NoProject(f"{shared}: tool.shiftwork is no table", "Correct it")
            return settings
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        file = own if own.is_file() else shared
        raise NoProject(f"{file} is not TOML: {error}", "Correct it") from error
    return None


class _Reader:
    """Reads the settings of the project in one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def project(self, given: Mapping[str, Any]) -> Project:
        """Return the project.

        Raises
        ------
        NoProject
            If a setting is unknown or wrong.
        """
        known = (
            "name", "definitions", "callbacks", "region", "profile", "services", "parameters",
            "stages", "policy",
        )  # fmt: skip
        self._only(given, known, "")
        name = self._text(given, "name", "") or self._root.name
        shared = Stage("", self._text(given, "region"), self._text(given, "profile"))
        stages = {"dev": {}, **self._table(given, "stages", "")}
        return Project(
            self._root,
            self._root / (self._text(given, "definitions") or "definitions"),
            self._root / (self._text(given, "callbacks") or "callbacks"),
            self._services(given, ""),
            name,
            self._table(given, "parameters", ""),
            {one: self._stage(one, table, shared) for one, table in stages.items()},
            self._policy(given),
        )

    def _stage(self, name: str, given: Any, shared: Stage) -> Stage:
        if not _STAGE.fullmatch(name) or not isinstance(given, dict):
            raise self._wrong(f"stages.{name} is no stage", "Write it as [stages.prod]")
        where = f"stages.{name}."
        self._only(given, ("region", "profile", "confirm", "parameters", "services"), where)
        confirm = given.get("confirm", True)
        if not isinstance(confirm, bool):
            raise self._wrong(f"{where}confirm is neither true nor false", "Correct it")
        return Stage(
            name,
            self._text(given, "region", where) or shared.region,
            self._text(given, "profile", where) or shared.profile,
            confirm,
            self._table(given, "parameters", where),
            self._services(given, where),
        )

    def _services(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        services = self._table(given, "services", where)
        for name, one in services.items():
            url = one.get("url") if isinstance(one, dict) else one
            if not isinstance(url, str):
                raise self._wrong(
                    f"{where}services.{name} is no URL",
                    f'Write {name} = "https://...", or {name} = {{url = "...", private = true}}',
                )
            if isinstance(one, dict):
                self._only(one, ("url", "private"), f"{where}services.{name}.")
        return services

    def _policy(self, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        policy = given.get("policy", [])
        keys = ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")
        if not isinstance(policy, list) or not all(isinstance(one, dict) for one in policy):
            raise self._wrong("policy is no list of statements", "Write each as [[policy]]")
        for number, statement in enumerate(policy):
            self._only(statement, keys, f"policy[{number}].")
            if missing := {"Effect", "Resource"} - statement.keys():
                raise self._wrong(f"policy[{number}] lacks {', '.join(sorted(missing))}", "Add it")
        return tuple(policy)

    def _text(self, given: Mapping[str, Any], key: str, where: str = "") -> str | None:
        value = given.get(key)
        if value is not None and not isinstance(value, str):
            raise self._wrong(f"{where}{key} is no text", "Correct it")
        return value

    def _table(self, given: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
        value = given.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(
                f"{where}{key} is no table", f"Write [{where}{key}], and its lines below"
            )
        return value

    def _only(self, given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        """Refuse a setting that nobody reads."""
        for key in given:
            if key not in known:
                close = get_close_matches(key, known, 1)
                next_step = f"Did you mean {where}{close[0]}?" if close else "Remove it"
                raise self._wrong(f"{where}{key} is no setting", next_step)

    def _wrong(self, what: str, next_step: str) -> NoProject:
        return NoProject(f"In the settings of {self._root}: {what}", next_step)


def stack_name(project: Project, stage: str) -> str:
    """Return the name of a stage's stack.

    Raises
    ------
    NoProject
        If the project has no such stage, or the name would be none.
    """
    if stage not in project.stages:
        known = ", ".join(project.stages)
        raise NoProject(
            f"{project.root} has no stage {stage!r}; it has: {known}",
            f"Write [stages.{stage}] into {FILE}",
        )
    found = f"{project.name}-{stage}"
    if not NAME.fullmatch(project.name) or len(found) > LONGEST_STACK:
        raise NoProject(
            f"{found!r} cannot be the name of a stack",
            f'Write name = "..." into {FILE}: lower-case letters, digits and dashes; with the'
            f" stage's name at most {LONGEST_STACK} characters",
        )
    return found
